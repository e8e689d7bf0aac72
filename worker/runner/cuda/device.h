#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/runner/device.h"

namespace tessera::cuda {

// What a device says of itself.
struct DeviceInfo {
  std::string name;
  int driver_version = 0;      // 12040 for 12.4
  int compute_capability = 0;  // 80 for 8.0
  int64_t block_threads = 0;   // at most
  int64_t wave_threads = 0;
  int64_t shared_bytes = 0;     // of a block that asks for them
  int64_t block_registers = 0;  // of 32 bits
  int64_t cache_bytes = 0;
  int64_t memory_bytes = 0;
  int processors = 0;
};

// FailedPrecondition without a driver.
absl::StatusOr<std::vector<DeviceInfo>> ListDevices();

// The first whose name contains `name`. NotFound with the names that there are.
absl::StatusOr<std::unique_ptr<runner::Device>> OpenDevice(std::string_view name);

}  // namespace tessera::cuda
