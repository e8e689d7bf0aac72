#pragma once

#include <string_view>

#include "worker/runner/device.h"

namespace tessera::runner {

// The word by which a worker executes itself as a child that holds a device, followed by the
// kind's and the device's name.
inline constexpr char kDeviceHostArgument[] = "--device-host";

// The child's side of a measurement on a device: obeys the commands of kernel_host.h, as a program
// of sandbox::ProgramSpawner. Returns the exit code.
int DeviceHostMain(const DeviceKind& kind, std::string_view device);

}  // namespace tessera::runner
