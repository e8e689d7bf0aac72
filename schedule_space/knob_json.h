#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/status/statusor.h"
#include "schedule_space/knob.h"

// Configs and pins as JSON: an order is a list of numbers, an option of one part a number, any
// other an object of its parts.

namespace tessera::space {

using Json = nlohmann::ordered_json;

// Discarded where the text is no JSON, or nested deeper than any config or pin is.
Json ParseShallowJson(std::string_view text);

Json OptionToJson(const Knob& knob, const Option& option);
// InvalidArgument, naming the knob and the value, for what has not the form of its options; which
// of them it is, FindOption tells.
absl::StatusOr<Option> OptionFromJson(const Knob& knob, const Json& value);

// For messages.
std::string Shortened(const Json& value);

}  // namespace tessera::space
