#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "worker/agent/host.h"

namespace tessera {

// Target and class of the first OpenCL device whose name contains `name`, GPUs before others.
// FailedPrecondition without a loader; NotFound with the names of those that there are.
absl::StatusOr<agent::Host> DescribeOpenClDevice(std::string_view name);

}  // namespace tessera
