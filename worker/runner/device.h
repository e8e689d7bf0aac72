#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/device_code.h"

namespace tessera::runner {

// One device with one program and its buffers. Calls wait until the device is done, but for
// Fill and Evict, which it does before what follows. Not thread-safe. Errors are the driver's, with
// its name for them.
class Device {
 public:
  virtual ~Device() = default;

  // Buffers by number, made in order, each between kMargin bytes of its own that no kernel should
  // touch.
  static constexpr int64_t kMargin = 4096;
  virtual absl::Status AddBuffer(int64_t bytes) = 0;
  // Compiles `code`, once, when its buffers are there, and makes its workspace. `binary`: what
  // Binary() was of the same code and compiler, or empty; where the driver refuses it the source is
  // compiled. InvalidArgument with the beginning of the driver's log where it refuses that.
  virtual absl::Status Load(const proto::DeviceCode& code, std::string_view binary) = 0;
  // What Load compiled. Empty: nothing, or the driver does not hand it out.
  virtual std::string Binary() { return ""; }
  // `offset` counts from the buffer's first byte and may lie in the margin before it.
  virtual absl::Status Write(int buffer, int64_t offset, absl::Span<const std::byte> from) = 0;
  virtual absl::Status Read(int buffer, int64_t offset, absl::Span<std::byte> into) = 0;
  // Every byte of a buffer, or of the workspace (proto::kWorkspaceArgument).
  virtual absl::Status Fill(int buffer, uint8_t value) = 0;
  // Writes so much that nothing of the buffers is left in the device's caches.
  virtual absl::Status Evict() = 0;
  virtual absl::Status Prepare() = 0;
  // Seconds that `calls` calls took by the device's clock from the start of the first kernel to the
  // end of the last; by the host's where the device's stands still. Of a simulator (TimeSource)
  // those that they would take.
  virtual absl::StatusOr<double> Call(int64_t calls) = 0;
};

// Whose word a child's time is.
enum class TimeSource : uint8_t {
  kHost,      // the clock that the runner has, too
  kDevice,    // a clock of the device's, or its driver's
  kSimulator  // computed, the same of every call; the runner's clock says nothing about it
};

// The drivers of one kind.
struct DeviceKind {
  const char* name;  // "opencl", "vta-sim"
  const char* code;  // the kind of proto::DeviceCode that it runs: "opencl", "vta"
  TimeSource time_source;
  // The first device whose name contains `name`, or the one that `name` is the configuration of
  // (vta/setup.h). NotFound with the names that there are; FailedPrecondition without a driver;
  // InvalidArgument for a configuration.
  absl::StatusOr<std::unique_ptr<Device>> (*open)(std::string_view name);
  // All that binaries of that device's compiler depend on beside the source: names, versions,
  // options. Null: its devices take no binaries. Errors as of `open`.
  absl::StatusOr<std::string> (*compiler)(std::string_view name);
};

}  // namespace tessera::runner
