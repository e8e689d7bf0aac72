#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "proto/worker.pb.h"
#include "worker/builder/builder.h"
#include "worker/builder/frame.h"

namespace tessera::builder {

// A child's exit code when memory that it asked for was refused.
inline constexpr int kOutOfMemoryExit = 113;

// The protocol: the child sends an empty frame when it is ready; then each request frame
// (v1::ServerMessage with a build_request or library_request) and, of a library of a model, the
// frames of its artifacts (ArtifactCount) are answered by one frame (v1::WorkerMessage) and a frame
// of bytes for each file that it speaks of.
int ArtifactCount(const v1::ServerMessage& request);

struct Reply {
  v1::WorkerMessage message;
  std::vector<std::string> files;
};

// How an exchange can fail; the child has ended then.
enum class Fault {
  kCrashed,      // by a signal of its own, or exited
  kOutOfMemory,  // at its limit
  kTimeout,      // its time was used up
  kStarved,      // its time was over, but most of it the machine gave to others
  kKilled        // by a signal from outside
};
struct Failure {
  Fault fault;
  std::string reason;
};

// One build child. Killed on destruction. Not thread-safe but for Kill and process.
class ChildProcess {
 public:
  // Blocks until it is ready. Unavailable when it does not come up.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const BuilderOptions& options);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t process() const;  // negative: it has ended
  // Ends it; a running Exchange then fails. From any thread.
  void Kill();
  int requests() const { return requests_; }  // answered so far
  bool IsAlive() const;
  // Keeps it on one core; negative = on all that this process may use.
  void Pin(int core);

  // Sends a request and waits for the whole answer. After a failure the child is gone.
  std::variant<Reply, Failure> Exchange(const v1::ServerMessage& request,
                                        absl::Span<const std::string> artifacts,
                                        std::chrono::nanoseconds time);

 private:
  ChildProcess() = default;
  absl::Status Spawn(const BuilderOptions& options);
  absl::Status LimitMemory(int64_t bytes) const;
  absl::StatusOr<Reply> Answer(const v1::ServerMessage& request,
                               absl::Span<const std::string> artifacts, SteadyTime deadline);
  Failure Explain(const absl::Status& status, std::chrono::nanoseconds time,
                  std::chrono::nanoseconds used);
  std::chrono::nanoseconds CpuTime() const;
  int End(bool kill);  // its wait status
  std::string LastWords() const;

  UniqueFd socket_, words_;    // words_: what it writes to standard error
  mutable absl::Mutex mutex_;  // held while a process is reaped, whose number may be reused then
  pid_t process_ = -1;         // changed under mutex_, by one thread
  int64_t memory_bytes_ = 0;
  int requests_ = 0;
  int core_ = -1;
};

}  // namespace tessera::builder
