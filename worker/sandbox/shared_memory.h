#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"

namespace tessera::sandbox {

// Anonymous memory that this process and a sandboxed child can both map. Its size is sealed, so
// that a child can't make the parent fault by shrinking it. Zero-filled. Contents may change at any
// time while a child that holds it lives.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept { *this = std::move(other); }
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  // ResourceExhausted when the system refuses the memory.
  static absl::StatusOr<SharedMemory> Create(std::string_view name, int64_t bytes);
  // Sealed against writes too, holding `contents`.
  static absl::StatusOr<UniqueFd> CreateReadOnly(std::string_view name, std::string_view contents);

  int fd() const { return fd_.get(); }
  absl::Span<std::byte> bytes() const { return {data_, size_}; }

 private:
  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tessera::sandbox
