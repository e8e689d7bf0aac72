#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

// An operator of a library for a device that its CPU runs, and why.
struct OperatorOnCpu {
  std::string name;
  std::string why;
};

// Those of a manifest.json, in its order (docs/library.md). DataLoss, saying where, for what is no
// manifest: a server sent it.
absl::StatusOr<std::vector<OperatorOnCpu>> OperatorsOnCpu(std::string_view manifest);

}  // namespace tessera::cli
