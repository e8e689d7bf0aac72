#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"

namespace tessera::cli {

// The target that a text (of --target, of a device) names, for which schedules can be compiled.
// InvalidArgument where it names none, or one of a kind without a code generator.
absl::StatusOr<ir::Target> ParseCompiledTarget(std::string_view text);

}  // namespace tessera::cli
