#include "db/sqlite/reader_pool.h"

#include <utility>

#include "base/status.h"

namespace tessera::db {

absl::Status ReaderPool::Run(absl::FunctionRef<absl::Status(Connection&)> read) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Take());
  absl::Status status = connection->Execute("BEGIN");
  if (status.ok()) status = read(*connection);
  // Nothing was changed: a failing end of the snapshot would take no result away.
  if (connection->in_transaction()) connection->Execute("COMMIT").IgnoreError();
  GiveBack(std::move(connection));
  return status;
}

absl::StatusOr<std::unique_ptr<Connection>> ReaderPool::Take() {
  {
    absl::MutexLock lock(&mutex_, absl::Condition(this, &ReaderPool::HasRoom));
    ++in_use_;
    if (!idle_.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  absl::StatusOr<std::unique_ptr<Connection>> opened =
      Connection::Open(path_, Connection::Mode::kReadOnly, lock_wait_);
  if (!opened.ok()) {
    absl::MutexLock lock(&mutex_);
    --in_use_;
  }
  return opened;
}

void ReaderPool::GiveBack(std::unique_ptr<Connection> connection) {
  absl::MutexLock lock(&mutex_);
  --in_use_;
  if (!connection->in_transaction()) idle_.push_back(std::move(connection));
}

}  // namespace tessera::db
