#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace tessera {

// An exclusive lock on a file, by which one process has a folder or database to itself. The
// operating system drops it when the process ends, however it ends. The file stays behind.
class FileLock {
 public:
  // Makes `lock_path` when it isn't there. Unavailable when this or another process holds it:
  // "`what` is in use by process 123; `advice`". NotFound when its folder does not exist;
  // PermissionDenied or ResourceExhausted when it can't be made.
  static absl::StatusOr<FileLock> Acquire(const std::string& lock_path, std::string_view what,
                                          std::string_view advice);

  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace tessera
