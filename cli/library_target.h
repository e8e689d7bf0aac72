#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"

namespace tessera::cli {

// The target that a text (of --target, of a device) names, for which libraries are made.
// InvalidArgument where it names none, or one of a kind of which there are no libraries yet.
absl::StatusOr<ir::Target> ParseLibraryTarget(std::string_view text);

}  // namespace tessera::cli
