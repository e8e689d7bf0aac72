#pragma once

#include "absl/status/status.h"
#include "proto/session.h"

namespace tessera::server {

// The way to one connected worker. Calls only enqueue and never block. Thread-safe.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  // Dropped silently once the link is closed.
  virtual void Send(proto::ServerMessage message) = 0;
  // Ends the stream with `reason` once the write under way is through.
  virtual void Close(absl::Status reason) = 0;
  // Ends it at once, for a peer that no longer takes anything.
  virtual void Abort() = 0;
};

}  // namespace tessera::server
