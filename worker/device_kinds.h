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
  // FailedPrecondition without a driver; NotFound with the names of those that there are;
  // InvalidArgument for a configuration.
  absl::StatusOr<agent::Host> (*describe)(std::string_view name);
  // Of devices that are configured by a file, whose text stands for a name: InvalidArgument where
  // it is none. Null: they have names.
  absl::Status (*check_config)(std::string_view text) = nullptr;
};

// "opencl", "cuda", "vta-sim", "vta".
absl::Span<const DeviceKind> DeviceKinds();
// Null: none is called so.
const DeviceKind* FindDeviceKind(std::string_view name);

}  // namespace tessera
