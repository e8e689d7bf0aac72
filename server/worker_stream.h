#pragma once

#include <grpcpp/grpcpp.h>

#include "proto/worker.grpc.pb.h"
#include "server/dispatcher.h"

namespace tessera::server {

// WorkerService: one reactor a connected worker, which converts and delegates to the dispatcher.
class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerServiceImpl(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ServerMessage>* Connect(
      grpc::CallbackServerContext* context) override;

 private:
  Dispatcher& dispatcher_;
};

}  // namespace tessera::server
