#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/agent/host.h"
#include "worker/runner/device.h"

namespace tessera {

// The devices beside its own processor that a worker measures on, a kind each.
struct DeviceKind : runner::DeviceKind {
  // Target and class of the first whose name contains `name`, GPUs before others.
  // FailedPrecondition without a driver; NotFound with the names of those that there are.
  absl::StatusOr<agent::Host> (*describe)(std::string_view name);
};

// "opencl", "cuda".
absl::Span<const DeviceKind> DeviceKinds();
// Null: none is called so.
const DeviceKind* FindDeviceKind(std::string_view name);

}  // namespace tessera
