#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "schedule_space/config_space.h"

namespace tessera::space {

// The part of a space that pins leave: a JSON object that lists for some knobs, or for parts of
// theirs, what they may be, and for "sketch" the names.
//
//   {"sketch":["direct"],"tile.lanes":[16],"order.outer":[[0,1,2]],"block.X":[16,32]}
//
// Values are as configs have them (ConfigSpace::ToJson). Other knobs are free. A sketch that has
// not a knob is not touched by what is said of it; one of which nothing is left is closed. A config
// keeps to the pins, too, where listed options in place of its own, one knob after the other, leave
// it the same program: of orders of loops that differ in loops that do not exist, one is enough.
//
// Configs of the part are configs of the whole, with the same numbers and names, and sampled as
// there as far as pins allow. Empty pins leave everything.
//
// InvalidArgument, beginning with "pins: ", names what is unknown and lists what there is, or says
// that no config is left.
absl::StatusOr<ConfigSpace> Pin(const ConfigSpace& space, std::string_view pins);

// Pins may name programs one by one instead: {"configs":[{"sketch":"direct",…},…]}. Those, as
// ConfigSpace::FromJson reads them, in their order; nothing where the pins are of knobs.
// InvalidArgument where both are there, or something that is no list of objects.
absl::StatusOr<std::optional<std::vector<std::string>>> ListedConfigs(std::string_view pins);

}  // namespace tessera::space
