#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "proto/session.h"
#include "proto/worker.grpc.pb.h"

namespace tessera::agent {

// One stream to the server, from hello to its end. Run blocks; the other calls come from any
// thread.
class Connection {
 public:
  explicit Connection(v1::WorkerService::Stub& stub) : stream_(stub.Connect(&context_)) {}

  // Sends `first` (hello, then unacknowledged results), beats with what `held` returns, and hands
  // on what comes. Returns why the stream ended.
  absl::Status Run(std::vector<proto::WorkerMessage> first,
                   const std::function<std::vector<uint64_t>()>& held,
                   const std::function<void(const proto::ServerMessage&)>& receive);
  // Only enqueues; lost when the stream ends first.
  void Send(proto::WorkerMessage message);
  // Ends the stream at once.
  void Cancel() { context_.TryCancel(); }

 private:
  void WriteLoop(const std::function<std::vector<uint64_t>()>& held);
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ServerMessage>> stream_;
  absl::Mutex mutex_;
  std::deque<proto::WorkerMessage> outbox_ ABSL_GUARDED_BY(mutex_);
  absl::Duration heartbeat_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(2);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera::agent
