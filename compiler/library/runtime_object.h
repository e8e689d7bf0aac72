#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"

namespace tessera::library {

// The C runtime as a relocatable object for the kind of CPU, embedded when Tessera was built.
// FailedPrecondition for a kind that no compiler was there for.
absl::StatusOr<std::string> RuntimeObject(ir::TargetKind kind);

// The functions of the C library that it calls.
const std::vector<std::string>& RuntimeLibcFunctions();

}  // namespace tessera::library
