#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "db/sqlite/connection.h"

namespace tessera::db {

// The one thread that writes. Writes that arrive while a commit is on its way to the disk share
// the next one (group commit), so many callers cost one fsync; a lone caller waits for nobody.
// Thread-safe.
class Writer {
 public:
  using Write = absl::FunctionRef<absl::Status(Connection&)>;

  explicit Writer(std::unique_ptr<Connection> connection);
  // Finishes what was handed in. No Run may begin after this.
  ~Writer();

  // Runs `write` on the writer's thread inside a transaction and returns once that is committed
  // to disk, or `write`'s error with nothing of it kept, whatever happens to its neighbours.
  // `write` runs again when the group it was part of could not be committed.
  absl::Status Run(Write write);

  // How many writes wait for their turn.
  size_t waiting();

 private:
  struct Request;

  void Loop();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); }
  // Gives every request its status; false when the group as a whole failed and was undone.
  bool CommitTogether(absl::Span<Request* const> group);
  absl::Status CommitAlone(Write write);
  void Rollback();

  const std::unique_ptr<Connection> connection_;  // of thread_
  absl::Mutex mutex_;
  std::deque<Request*> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera::db
