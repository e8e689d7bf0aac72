#include "db/sqlite/writer.h"

#include <algorithm>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/status.h"

namespace tessera::db {
namespace {

// Bounds how much one transaction holds, and so how long the first of its callers waits.
constexpr size_t kMaxGroup = 256;

}  // namespace

struct Writer::Request {
  Write write;
  absl::Status status;
  absl::Notification done;
};

Writer::Writer(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)), thread_([this] { Loop(); }) {}

Writer::~Writer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::Status Writer::Run(Write write) {
  Request request{write, absl::OkStatus(), {}};
  {
    absl::MutexLock lock(&mutex_);
    TESSERA_CHECK(!stopping_);
    queue_.push_back(&request);
  }
  request.done.WaitForNotification();
  return request.status;
}

size_t Writer::waiting() {
  absl::MutexLock lock(&mutex_);
  return queue_.size();
}

void Writer::Loop() {
  while (true) {
    std::vector<Request*> group;
    {
      absl::MutexLock lock(&mutex_, absl::Condition(this, &Writer::HasWork));
      if (queue_.empty()) return;
      const auto end = queue_.begin() + static_cast<ptrdiff_t>(std::min(queue_.size(), kMaxGroup));
      group.assign(queue_.begin(), end);
      queue_.erase(queue_.begin(), end);
    }
    if (group.size() == 1 || !CommitTogether(group)) {
      for (Request* request : group) request->status = CommitAlone(request->write);
    }
    for (Request* request : group) request->done.Notify();
  }
}

bool Writer::CommitTogether(absl::Span<Request* const> group) {
  if (absl::Status begun = connection_->Execute("BEGIN IMMEDIATE"); !begun.ok()) {
    // Another program holds the file: trying one by one would wait for it once a request.
    for (Request* request : group) request->status = begun;
    return true;
  }
  for (Request* request : group) {
    if (!connection_->Execute("SAVEPOINT one").ok()) break;
    request->status = request->write(*connection_);
    // SQLite undoes the whole transaction by itself after some errors, a full disk among them.
    if (!connection_->in_transaction()) return false;
    if (!request->status.ok() && !connection_->Execute("ROLLBACK TO one").ok()) break;
    if (!connection_->Execute("RELEASE one").ok()) break;
    if (request == group.back() && connection_->Execute("COMMIT").ok()) return true;
  }
  Rollback();
  return false;
}

absl::Status Writer::CommitAlone(Write write) {
  TESSERA_RETURN_IF_ERROR(connection_->Execute("BEGIN IMMEDIATE"));
  absl::Status status = write(*connection_);
  if (status.ok()) status = connection_->Execute("COMMIT");
  if (!status.ok()) Rollback();
  return status;
}

void Writer::Rollback() {
  if (connection_->in_transaction()) connection_->Execute("ROLLBACK").IgnoreError();
}

}  // namespace tessera::db
