#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "db/sqlite/connection.h"

namespace tessera::db {

// Read-only connections, opened as they are needed, at most kMaxReaders; further callers wait.
// Thread-safe.
class ReaderPool {
 public:
  static constexpr int kMaxReaders = 8;

  ReaderPool(std::string path, absl::Duration lock_wait)
      : path_(std::move(path)), lock_wait_(lock_wait) {}

  // Runs `read` on one snapshot of the database, which includes every write that was acknowledged
  // before the call.
  absl::Status Run(absl::FunctionRef<absl::Status(Connection&)> read);

 private:
  absl::StatusOr<std::unique_ptr<Connection>> Take();
  void GiveBack(std::unique_ptr<Connection> connection);
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return in_use_ < kMaxReaders; }

  const std::string path_;
  const absl::Duration lock_wait_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_ ABSL_GUARDED_BY(mutex_);
  int in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera::db
