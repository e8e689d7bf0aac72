#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/runner/device.h"
#include "worker/runner/exchange.h"
#include "worker/runner/kernel_host.h"
#include "worker/runner/program_cache.h"
#include "worker/runner/runner.h"
#include "worker/sandbox/sandbox.h"

namespace tessera::runner {

// Why a program failed.
struct Failure {
  db::Outcome outcome = db::Outcome::kRunError;
  std::string reason;
};

// One message of a child; Cancelled once `cancelled` (null: never) is set, else as Child::Receive.
absl::StatusOr<size_t> ReceiveReply(sandbox::Child& child, const std::atomic<bool>* cancelled,
                                    absl::Span<std::byte> message, absl::Duration timeout);

// What a child's end says of its program.
Failure FailureOf(const sandbox::ChildExit& exit);

// The parent's side of one kernel in one sandboxed child. After a failure the child is dead.
// Not thread-safe.
class KernelSession {
 public:
  struct Options {
    int real_time_seconds = 0;  // of the child's limits (sandbox.h)
    TimeSource time_source = TimeSource::kHost;
    ProgramCache* programs = nullptr;  // null: the source is compiled; outlives the session
    bool keeps_program = false;        // whether what was compiled shall be kept there
  };
  // Lays out inputs (row-major, in order) into the kernel's stored layouts and spawns the child.
  // Errors: InvalidArgument for layouts that don't fit, else this machine's.
  static absl::StatusOr<std::unique_ptr<KernelSession>> Start(sandbox::Spawner& spawner,
                                                              const MeasurePlan& plan,
                                                              const KernelArtifact& kernel,
                                                              absl::Span<const std::string> inputs,
                                                              const Options& options);

  // Waits until the kernel is loaded. Comes first.
  std::optional<Failure> Load(absl::Duration timeout);
  // Buffers as at the start, with every output byte `poison`.
  std::optional<Failure> Prepare(Placement placement, uint8_t poison);

  struct CallResult {
    std::optional<Failure> failure;
    double claimed_seconds = 0;  // by the child's clock, all calls together
    double wall_seconds = 0;     // around them by ours
  };
  CallResult Call(int64_t calls, absl::Duration timeout);
  std::optional<Failure> Evict();

  // Fetches the buffers, then checks guards and inputs.
  std::optional<Failure> Collect();
  // Outputs as last fetched, compared with the expected row-major values.
  std::optional<Failure> CheckOutputs(absl::Span<const std::string> expected) const;
  // Output `output` as last fetched, row-major.
  std::string LogicalOutput(int output) const;

  // Kills the child. Messages that it had no business to send are a failure.
  std::optional<Failure> Finish();

  // How the kernel ended, said last: what was compiled of a good one is kept, and a kept binary
  // with which it failed is forgotten. True then: compiled anew it may be good.
  bool Settle(db::Outcome outcome);
  int64_t peak_memory_bytes() const { return peak_memory_bytes_; }

 private:
  KernelSession() = default;
  struct Answer {
    std::optional<Failure> failure;
    HostReply reply = {};
  };
  CallResult Execute(HostCommandKind kind, int64_t calls, absl::Duration timeout);
  Answer AwaitReply(uint64_t sequence, absl::Duration timeout);
  Failure Ended(const sandbox::ChildExit& exit);
  absl::Status LendProgram(const KernelArtifact& kernel, HostArgument& argument);

  const MeasurePlan* plan_ = nullptr;
  std::vector<Tolerance> tolerances_;
  std::vector<StoredLayout> layouts_;
  Exchange exchange_;
  sandbox::SharedMemory image_;
  std::vector<std::byte> pristine_;  // what the image held at first
  Options options_;
  std::string program_key_;
  sandbox::SharedMemory program_;  // with Options::programs: the binary that there is, or is made
  bool has_binary_ = false;        // whether the child was given one
  std::string compiled_;           // what it made
  std::unique_ptr<sandbox::Child> child_;
  Placement placement_ = Placement::kStrict;
  uint64_t sequence_ = 0;
  int64_t calls_ = 0;
  int64_t peak_memory_bytes_ = -1;
};

}  // namespace tessera::runner
