#pragma once

#include <optional>
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

// For the kind of CPU, with the launcher of a kind of device. FailedPrecondition for a kind of CPU
// that no compiler was there for, InvalidArgument for one that the device's driver is not made for.
absl::StatusOr<RuntimeParts> RuntimeFor(ir::TargetKind kind, std::optional<ir::TargetKind> device);

}  // namespace tessera::library
