#include "worker/agent/connection.h"

#include <optional>
#include <thread>
#include <utility>

#include "proto/convert.h"
#include "proto/rpc_status.h"

namespace tessera::agent {

absl::Status Connection::Run(std::vector<proto::WorkerMessage> first,
                             const std::function<std::vector<uint64_t>()>& held,
                             const std::function<void(const proto::ServerMessage&)>& receive) {
  for (proto::WorkerMessage& message : first) Send(std::move(message));
  std::thread writer([&] { WriteLoop(held); });
  absl::Status refused;
  v1::ServerMessage incoming;
  while (stream_->Read(&incoming)) {
    const absl::StatusOr<proto::ServerMessage> message = proto::FromProto(incoming);
    if (!message.ok()) {
      refused = message.status();
      Cancel();
      break;
    }
    if (const auto* welcome = std::get_if<proto::Welcome>(&*message)) {
      absl::MutexLock lock(&mutex_);
      heartbeat_ = absl::Seconds(welcome->heartbeat_seconds);
    }
    receive(*message);
  }
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  writer.join();
  const absl::Status end = proto::FromRpc(stream_->Finish());
  if (!refused.ok()) return absl::UnavailableError(refused.message());
  return end.ok() ? absl::UnavailableError("the server ended the stream") : end;
}

void Connection::Send(proto::WorkerMessage message) {
  absl::MutexLock lock(&mutex_);
  outbox_.push_back(std::move(message));
}

// The only writer of the stream: gRPC allows one write at a time.
void Connection::WriteLoop(const std::function<std::vector<uint64_t>()>& held) {
  while (true) {
    std::optional<proto::WorkerMessage> message;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return ended_ || !outbox_.empty();
      };
      mutex_.AwaitWithTimeout(absl::Condition(&ready), heartbeat_);
      if (ended_) return;
      if (!outbox_.empty()) {
        message = std::move(outbox_.front());
        outbox_.pop_front();
      }
    }
    if (!message.has_value()) message = proto::Heartbeat{held()};
    if (!stream_->Write(proto::ToProto(*message))) return;  // the reader learns why
  }
}

}  // namespace tessera::agent
