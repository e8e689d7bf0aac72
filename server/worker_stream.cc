#include "server/worker_stream.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/convert.h"
#include "proto/rpc_status.h"
#include "server/worker_link.h"

namespace tessera::server {
namespace {

using Reactor = grpc::ServerBidiReactor<v1::WorkerMessage, v1::ServerMessage>;

// The writing half of a stream, which outlives it: whoever holds the link may send after the
// reactor is gone. gRPC allows one write at a time and one Finish; both are kept here.
class StreamLink final : public WorkerLink {
 public:
  StreamLink(Reactor* reactor, grpc::CallbackServerContext* context)
      : reactor_(reactor), context_(context) {}

  void Send(proto::ServerMessage message) override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ == nullptr || closing_.has_value()) return;
    queue_.push_back(proto::ToProto(message));
    WriteNext();
  }

  void Close(absl::Status reason) override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ == nullptr || closing_.has_value()) return;
    closing_ = std::move(reason);
    queue_.clear();
    if (!writing_) Finish();  // else OnWriteDone does
  }

  void Abort() override {
    absl::MutexLock lock(&mutex_);
    if (reactor_ != nullptr) context_->TryCancel();  // reads and writes fail at once then
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
    queue_.clear();
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || queue_.empty()) return;
    writing_ = true;
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    reactor_->StartWrite(&outgoing_);
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
  v1::ServerMessage outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> closing_ ABSL_GUARDED_BY(mutex_);
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
