#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "worker/sandbox/child_exit.h"
#include "worker/sandbox/shared_memory.h"

// Runs untrusted native code in a child process that can compute, use threads and talk to this
// process, and nothing else: no files, no network, no other process. docs/measurement.md.

namespace tessera::sandbox {

struct Limits {
  int64_t memory_bytes = int64_t{1} << 30;  // beyond what the process maps before it is confined
  int64_t stack_bytes = 8 << 20;            // of the main thread
  int cpu_seconds = 600;                    // of all threads together
  int max_threads = 4096;                   // of all of a sandbox's children together
  // Above 0, where Options::real_time was granted: nothing that isn't real-time interrupts the
  // child, and each of its threads is ended that computes for so long without a pause.
  int real_time_seconds = 0;
};

// What a child's entry function sees. It runs confined from its first line.
struct ChildContext {
  absl::Span<const std::byte> argument;
  std::vector<int> descriptors;   // the task's, in order
  int channel = -1;               // one read or write is one message
  const char* library = nullptr;  // a path for dlopen, when the task has a library
};
// Its return value is the exit code.
using ChildEntry = int (*)(const ChildContext& context);

struct ChildTask {
  ChildEntry entry =
      nullptr;           // a function of this executable, or of a library loaded before Create
  std::string argument;  // at most 64 KiB
  std::vector<int> descriptors;  // shared with the child; at most 12
  std::string library;           // bytes of a shared object; empty = none
  Limits limits;
};

// One child. Killed on destruction. Not thread-safe.
class Child {
 public:
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // FailedPrecondition when the child has ended.
  absl::Status Send(absl::Span<const std::byte> message);
  // One message, cut to the size of `into`; returns its size. DeadlineExceeded when none came in
  // time; FailedPrecondition when the child has ended (messages sent before come first).
  absl::StatusOr<size_t> Receive(absl::Span<std::byte> into, absl::Duration timeout);
  // How it ended; DeadlineExceeded when it hasn't in time.
  absl::StatusOr<ChildExit> Wait(absl::Duration timeout);
  // Kills it unless it has ended, and says how it ended. May be called again.
  ChildExit Kill(KillReason reason);

 private:
  friend class Sandbox;
  friend class ProgramSpawner;
  Child() = default;
  bool PollExit(absl::Duration timeout);

  UniqueFd monitor_, channel_;
  SharedMemory diagnosis_;
  KillReason killed_ = KillReason::kNone;
  int64_t memory_limit_ = 0;
  bool ended_ = false;
  ChildExit exit_;
};

// Makes children. Thread-safe.
class Spawner {
 public:
  virtual ~Spawner() = default;
  // InvalidArgument for a task beyond its limits; Unavailable when there is nothing to make one
  // from (any more); ResourceExhausted when the system refuses memory or descriptors.
  virtual absl::StatusOr<std::unique_ptr<Child>> Spawn(const ChildTask& task) = 0;
};

// Spawns children from a zygote: a small process forked once, which costs a fraction of a
// millisecond a child however large this process has grown. The zygote gets its own user, mount,
// process, network, IPC and host name namespaces as far as the system grants them, an empty root
// file system, and no privileges. A child adds: session, rlimits, no_new_privs, a system call
// filter (seccomp_filter.h), and no descriptors but its own. When this process ends, so do zygote
// and children. Thread-safe.
class Sandbox final : public Spawner {
 public:
  struct Options {
    bool namespaces = true;  // false: behave as in a container that refuses them
    bool real_time = false;  // asks for what Limits::real_time_seconds needs
    // Libraries of others (base/third_party.h), as of ParseAllowed, that children find loaded:
    // there are no files from which their own libraries could have them.
    std::string allow;
  };
  // Call it first in main: before threads start and before much memory is allocated. Logs what the
  // system does not grant. FailedPrecondition: a library that is allowed can't be loaded.
  static absl::StatusOr<std::unique_ptr<Sandbox>> Create(const Options& options);
  static absl::StatusOr<std::unique_ptr<Sandbox>> Create() { return Create(Options()); }
  ~Sandbox() override;
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  absl::StatusOr<std::unique_ptr<Child>> Spawn(const ChildTask& task) override;

  // The parts of what was asked for that the system does not grant; empty = all there.
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  Sandbox() = default;

  UniqueFd socket_;
  pid_t process_ = -1;
  std::vector<std::string> missing_;
};

}  // namespace tessera::sandbox
