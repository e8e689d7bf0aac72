#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"
#include "worker/agent/roles.h"

namespace tessera::agent {

struct AgentOptions {
  std::string server;               // "127.0.0.1:7654"
  std::string name;                 // of this worker, unique on the server
  std::vector<db::Device> devices;  // what is offered
  std::vector<int> cores;           // to share between building and timing
  std::string cache_directory;
  int64_t cache_bytes = int64_t{1} << 30;
  absl::Duration first_retry = absl::Milliseconds(200);
  absl::Duration longest_retry = absl::Seconds(10);
};

// A worker process's life with its server: connects out, says what it offers and holds, beats,
// builds and runs what it is given, and comes back with back-off and jitter when the line breaks.
// Results are kept until the server has them on disk.
class Agent {
 public:
  // Roles may be null and outlive the agent. Errors come from the cache directory.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentOptions options, BuilderRole* builder,
                                                       RunnerRole* runner);
  virtual ~Agent() = default;

  // Serves until Stop, or until the server refuses this worker for good (FailedPrecondition:
  // another protocol; InvalidArgument). Retries everything else.
  virtual absl::Status Serve() = 0;
  // From any thread, also from one that handles signals. What is under way is finished or given up.
  virtual void Stop() = 0;
};

}  // namespace tessera::agent
