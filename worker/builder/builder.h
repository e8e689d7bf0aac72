#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/agent/roles.h"

namespace tessera::builder {

// The argument by which a worker's main is told that it is a build child; it must come first.
inline constexpr char kBuildChildArgument[] = "--build-child";
// The descriptor on which a build child talks to its worker.
inline constexpr int kBuildChildDescriptor = 3;

// Serves build requests from `descriptor` until it closes; returns the exit code. A worker's main
// calls it before anything else, and before threads start:
//   if (argc > 1 && argv[1] == std::string_view(builder::kBuildChildArgument))
//     return builder::BuildChildMain(builder::kBuildChildDescriptor);
int BuildChildMain(int descriptor);

struct BuilderOptions {
  int slots = 1;  // builds at a time
  // What is executed as a child: this program, unless told otherwise.
  std::string program = "/proc/self/exe";
  std::vector<std::string> arguments = {kBuildChildArgument};
  int64_t memory_bytes = int64_t{8} << 30;  // of a child, beyond what it maps when it starts
  int builds_per_child = 1000;              // then it is replaced, which bounds what leaks
  absl::Duration library_time = absl::Minutes(10);  // for one library
};

class ChildProcess;

// Compiles candidates and libraries in child processes, one a slot, which are kept warm between
// builds. Whatever a build does to its child (crash, hang, memory) is that build's result, and the
// slot goes on with a fresh child:
//   kBuildError      the program was refused; the compiler crashed on it, in a fresh child too; it
//                    used up its time or the child's memory
//   kInfrastructure  another loop hash than the server's; texts of the task that can't be read; no
//                    room to link in; a child killed from outside; a machine that gave the build no
//                    time
// Thread-safe; more callers than slots wait.
class Builder final : public agent::BuilderRole {
 public:
  // Starts the children. Unavailable when one does not come up, with what it said.
  static absl::StatusOr<std::unique_ptr<Builder>> Create(BuilderOptions options);
  ~Builder() override;

  int slots() const override { return options_.slots; }
  // `core`: where to compile; negative = anywhere.
  agent::BuildOutput Build(const proto::BuildRequest& request, int core) override;
  agent::LibraryOutput BuildLibrary(const proto::LibraryRequest& request,
                                    const std::vector<std::string>& artifacts, int core) override;
  // Kills the child; the slot goes on with a fresh one.
  void Cancel(uint64_t fence) override;

  // Process ids of the idle and busy children.
  std::vector<pid_t> children() const;

 private:
  struct Slot;
  class Use;
  struct Answer;

  explicit Builder(BuilderOptions options);
  Answer Exchange(const proto::ServerMessage& request, const std::vector<std::string>& artifacts,
                  uint64_t fence, int core, absl::Duration time);

  const BuilderOptions options_;
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::builder
