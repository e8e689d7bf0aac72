#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "worker/runner/vta/board.h"
#include "worker/runner/vta/register_board.h"

namespace tessera::vta {

// Bytes of a file or device, mapped for reading and writing, shared with whoever else has it.
class Mapping {
 public:
  // Uncached where the device has it so for O_SYNC. Errors name the file: NotFound,
  // PermissionDenied, Unavailable.
  static absl::StatusOr<Mapping> Open(const std::string& file, int64_t offset, int64_t bytes,
                                      bool uncached);
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Mapping(uint8_t* data, int64_t bytes) : data_(data), bytes_(bytes) {}

  uint8_t* data_;
  int64_t bytes_;
};

// Registers by their addresses: of /dev/mem from `base` on, of any other file from its beginning
// (a UIO device's first mapping).
class MappedRegisters final : public Registers {
 public:
  static absl::StatusOr<MappedRegisters> Open(const std::string& file, uint32_t base);
  uint32_t Read(uint32_t offset) override;
  void Write(uint32_t offset, uint32_t value) override;

 private:
  explicit MappedRegisters(Mapping mapping) : mapping_(std::move(mapping)) {}

  Mapping mapping_;
};

// A physically contiguous buffer of the kernel module u-dma-buf: `file` is its device
// (/dev/udmabuf0), `folder` what sysfs says of it (/sys/class/u-dma-buf/udmabuf0): phys_addr and
// size. Source: the README of github.com/ikwzm/udmabuf.
class MappedDram {
 public:
  // OutOfRange where it ends above 2^32, which the accelerator does not reach.
  static absl::StatusOr<MappedDram> Open(const std::string& file, const std::string& folder);
  const Dram& dram() const { return dram_; }

 private:
  MappedDram(Mapping mapping, uint32_t address)
      : mapping_(std::move(mapping)), dram_{mapping_.data(), address, mapping_.bytes()} {}

  Mapping mapping_;
  Dram dram_;
};

}  // namespace tessera::vta
