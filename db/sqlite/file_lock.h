#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace tessera::db {

// Keeps a database to one server: an exclusive lock on `<path>.lock`, which the operating system
// drops when the process ends, however it ends. The file stays behind.
class FileLock {
 public:
  // Unavailable, naming the holder's process, when another store (of this or another process) has
  // it; NotFound when the folder does not exist; PermissionDenied when it can't be written.
  static absl::StatusOr<FileLock> Acquire(const std::string& database_path);

  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace tessera::db
