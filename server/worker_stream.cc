#include "server/worker_stream.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "proto/convert.h"
#include "proto/limits.h"
#include "proto/rpc_status.h"
#include "server/worker_link.h"

namespace tessera::server {
namespace {

using Reactor = grpc::ServerBidiReactor<v1::WorkerMessage, v1::ServerMessage>;

// What may wait for a peer to read: an answer to each fence of the largest hello and, beside that,
// more than a healthy worker is ever sent ahead.
constexpr size_t kMaxQueuedMessages = proto::kMaxHeld + 4096;
constexpr size_t kMaxQueuedBytes = 2 * proto::kMaxMessageBytes;
// What a peer may take to read the message under way when its stream is to end.
constexpr std::chrono::seconds kLastWrite{2};

// The writing half of a stream, which outlives it: whoever holds the link may send after the
// reactor is gone. gRPC allows one write at a time and one Finish; both are kept here.
class StreamLink final : public WorkerLink, public std::enable_shared_from_this<StreamLink> {
 public:
  StreamLink(Reactor* reactor, grpc::CallbackServerContext* context)
      : reactor_(reactor), context_(context) {}

  void Send(proto::ServerMessage message) override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ == nullptr || closing_.has_value() || overfull_) return;
    queue_.push_back(proto::ToProto(message));
    queued_bytes_ += queue_.back().ByteSizeLong();
    WriteNext();
    if (queue_.size() <= kMaxQueuedMessages && queued_bytes_ <= kMaxQueuedBytes) return;
    overfull_ = true;
    ClearQueue();
  }

  // The peer does not read what it is sent. The stream has to be ended, which is left to its
  // reactor: whoever sends may hold locks that the end of a stream takes.
  bool overfull() {
    absl::MutexLock lock(&mutex_);
    return overfull_;
  }

  void Close(absl::Status reason) override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ == nullptr || closing_.has_value()) return;
    closing_ = std::move(reason);
    ClearQueue();
    if (!writing_) {
      Finish();
      return;
    }
    // OnWriteDone finishes, which a peer that does not read would put off for ever.
    last_write_.Set(std::chrono::system_clock::now() + kLastWrite,
                    [weak = weak_from_this()](bool /*expired*/) {
                      if (const auto link = weak.lock()) link->AbortWrite();
                    });
  }

  void Abort() override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ != nullptr) context_->TryCancel();  // reads and writes fail at once then
  }

  void AbortWrite() {
    absl::MutexLock lock(&mutex_);
    if (reactor_ != nullptr && writing_) context_->TryCancel();
  }

  void OnWriteDone(bool ok) {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (reactor_ == nullptr) return;
    if (closing_.has_value()) {
      Finish();
    } else if (ok) {
      WriteNext();
    }
  }

  void OnDone() {
    absl::MutexLock lock(&mutex_);
    reactor_ = nullptr;
    ClearQueue();
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || queue_.empty()) return;
    writing_ = true;
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= outgoing_.ByteSizeLong();
    reactor_->StartWrite(&outgoing_);
  }

  void ClearQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::exchange(queue_, {});
    queued_bytes_ = 0;
  }

  void Finish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
    reactor_->Finish(proto::ToRpc(*closing_));
  }

  absl::Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_);
  grpc::CallbackServerContext* const context_;
  std::deque<v1::ServerMessage> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool overfull_ ABSL_GUARDED_BY(mutex_) = false;
  v1::ServerMessage outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> closing_ ABSL_GUARDED_BY(mutex_);
  grpc::Alarm last_write_ ABSL_GUARDED_BY(mutex_);
};

// Lives from Connect to OnDone.
class WorkerStream final : public Reactor {
 public:
  WorkerStream(Dispatcher& dispatcher, grpc::CallbackServerContext* context)
      : dispatcher_(dispatcher), link_(std::make_shared<StreamLink>(this, context)) {
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      dispatcher_.Disconnect(link_.get());
      link_->Close(absl::OkStatus());
      return;
    }
    if (absl::Status status = Handle(); !status.ok()) {
      dispatcher_.Disconnect(link_.get());
      link_->Close(std::move(status));
      return;
    }
    if (link_->overfull()) {
      LogWarning("a worker does not read what it is sent: its stream is ended");
      dispatcher_.Disconnect(link_.get());
      link_->Close(absl::ResourceExhaustedError("the worker does not read what it is sent"));
      link_->Abort();  // the write under way would never end
      return;
    }
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override { link_->OnWriteDone(ok); }

  void OnDone() override {
    link_->OnDone();
    delete this;  // gRPC's contract: the reactor owns itself until here
  }

 private:
  absl::Status Handle() {
    absl::StatusOr<proto::WorkerMessage> message = proto::FromProto(incoming_);
    if (!message.ok()) return message.status();
    if (greeted_) return dispatcher_.Receive(link_.get(), *message);
    const auto* hello = std::get_if<proto::Hello>(&*message);
    if (hello == nullptr) {
      return absl::InvalidArgumentError("worker message: the first one must be a hello");
    }
    greeted_ = true;
    return dispatcher_.Connect(*hello, link_);
  }

  Dispatcher& dispatcher_;
  const std::shared_ptr<StreamLink> link_;
  v1::WorkerMessage incoming_;
  bool greeted_ = false;
};

}  // namespace

Reactor* WorkerServiceImpl::Connect(grpc::CallbackServerContext* context) {
  return std::make_unique<WorkerStream>(dispatcher_, context).release();
}

}  // namespace tessera::server
