#pragma once

#include <string_view>

namespace tessera::opencl {

// The word by which a worker executes itself as a child that holds an OpenCL device, followed by
// the device's name.
inline constexpr char kDeviceHostArgument[] = "--opencl-host";

// The child's side of a measurement on an OpenCL device: obeys the commands of kernel_host.h, as a
// program of sandbox::ProgramSpawner. Returns the exit code.
int DeviceHostMain(std::string_view device);

}  // namespace tessera::opencl
