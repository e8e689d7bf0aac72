#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"

namespace tessera::library {

// The C runtime of a library: relocatable objects, embedded when Tessera was built.
struct RuntimeParts {
  std::vector<std::string> objects;
  std::vector<std::string> libc_functions;  // that they call
};

// For the kind of CPU; `has_device`: with the launcher of OpenCL. FailedPrecondition for a kind
// that no compiler was there for.
absl::StatusOr<RuntimeParts> RuntimeFor(ir::TargetKind kind, bool has_device);

}  // namespace tessera::library
