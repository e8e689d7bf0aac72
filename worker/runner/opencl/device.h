#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/runner/device.h"

namespace tessera::opencl {

// What a device says of itself.
struct DeviceInfo {
  std::string name, vendor, platform, driver;
  std::string compiler;  // runner::DeviceKind::compiler
  bool is_gpu = false;
  bool has_fp16 = false;
  int64_t block_threads = 0;  // at most
  int64_t wave_threads = 0;   // that run in step; 0: it does not say
  int64_t shared_bytes = 0;   // of a block
  int64_t constant_bytes = 0;
  int64_t image_texels = 0;  // of an image of a buffer; 0: there are no images
  int64_t cache_bytes = 0;
  int64_t memory_bytes = 0;
  int compute_units = 0;
};

// All devices of all platforms, GPUs first. FailedPrecondition without a loader.
absl::StatusOr<std::vector<DeviceInfo>> ListDevices();

// The first whose name contains `name`. NotFound with the names that there are.
absl::StatusOr<std::unique_ptr<runner::Device>> OpenDevice(std::string_view name);
absl::StatusOr<std::string> CompilerOf(std::string_view name);

}  // namespace tessera::opencl
