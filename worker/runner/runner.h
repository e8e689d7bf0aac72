#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"
#include "worker/runner/element.h"
#include "worker/runner/stored_layout.h"

// What a runner is asked to do and the interface of all runners: native code now, other devices
// beside it. A runner verifies first and times then; failures of a program are results.

namespace tessera::runner {

// One parameter of the kernel, as the workload sees it. All programs of a plan share it.
struct BufferSpec {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;  // logical
  bool is_output = false;      // outputs follow all inputs
  bool is_constant = false;    // packed before the timed run
};

// |actual - expected| <= absolute + relative × |expected|.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

// A built program: a shared object with one tessera_kernel (compiler/runtime/kernel.h).
struct KernelArtifact {
  std::string name;  // for messages: the artifact's digest or "incumbent"
  std::string bytes;
  std::string symbol;
  int abi = 1;                                  // TESSERA_KERNEL_ABI it was built for
  std::vector<std::vector<LayoutDim>> layouts;  // stored, one a buffer; empty ones are row-major
  int64_t shared_workspace_bytes = 0;
  int64_t private_workspace_bytes = 0;  // a thread
  // A tessera_kernel that fills what is passed behind the buffers from the constants. It runs
  // before the first call, untimed. Empty: there is none.
  std::string prepare_symbol;
  std::vector<int64_t> prepared_bytes;
  std::vector<Tolerance> tolerances;  // one an output; empty: the plan's
};

// A value that the oracle computed for one output element.
struct OracleSample {
  int output = 0;     // counted among the outputs
  int64_t index = 0;  // row-major logical
  double value = 0;
};

// How the expected outputs come about: `values`, or else `reference` run in the sandbox and
// believed once it agrees with `samples`, of which every output needs one. Kept by (workload,
// seed), so that later plans of the task may leave the reference's bytes empty; then an unknown
// pair is NotFound, and the plan is to be sent again with them.
struct Expectation {
  std::vector<std::string> values;  // row-major logical bytes, one an output
  KernelArtifact reference;
  std::vector<OracleSample> samples;
};

// A program that takes longer than the best by this factor can't be it, whatever the noise. So it
// is with two of five trials of a search.
inline constexpr double kHopelessFactor = 1.25;
// One that takes no longer may be: three of ten trials.
inline constexpr double kContenderFactor = 1.03;

struct Timing {
  int warmup_calls = 1;              // before each repeat
  int repeats = 3;                   // of several programs: turns
  double min_repeat_seconds = 0.01;  // calls a repeat are chosen for this; ≥ 0.1 for publication
  int64_t max_calls = 1'000'000;     // a repeat
  double max_seconds = 10;           // for all repeats or turns; at least one is made
  db::CacheMode cache_mode = db::CacheMode::kWarm;  // cold: one call a repeat, after eviction
  // The fastest program known, against which a program alone races; 0: none, so that it contends.
  // Repeats of `screen_seconds` come first: where two are hopeless, they are all. A contender is
  // repeated `contender_repeats` times, if that is more.
  double best_seconds = 0;
  double screen_seconds = 0.001;
  int contender_repeats = 3;
  bool bracket_with_reference_loop = true;  // FMA loop before and after: Environment
};

// One program, or several of one workload that are compared. Each is verified and timed. Several
// take turns in random order, a turn of each in a child of its own, so that where its memory
// happens to lie is not taken for speed.
struct MeasurePlan {
  std::string workload_hash;
  uint64_t seed = 0;  // of the inputs, by base/test_data.h
  uint64_t interleaving_seed = 0;
  std::vector<BufferSpec> buffers;  // inputs, then outputs
  std::vector<KernelArtifact> candidates;
  Expectation expectation;
  std::vector<Tolerance> tolerances;  // one an output
  int threads = 1;
  std::vector<int> cores;  // one a thread; empty = not pinned
  Timing timing;
  absl::Duration call_timeout = absl::Seconds(10);  // of one call
  absl::Duration reference_timeout = absl::Seconds(60);
  int64_t memory_bytes = int64_t{1} << 30;  // beyond buffers and workspace
  // Set from any thread when the results are not wanted any more; null = never. Outlives Measure.
  const std::atomic<bool>* cancelled = nullptr;

  bool IsCancelled() const { return cancelled != nullptr && *cancelled; }
};

class Runner {
 public:
  virtual ~Runner() = default;
  virtual std::string_view kind() const = 0;  // "cpu"
  // One measurement a candidate, in order; what a candidate does is its outcome, never an error.
  // Samples at one place of several candidates are of one turn. InvalidArgument: the plan
  // contradicts itself. NotFound: see Expectation. FailedPrecondition: the reference program fails
  // or disagrees with the oracle's samples. Unavailable, ResourceExhausted: this machine. Once
  // cancelled it returns soon, with kCancelled or an error.
  // Thread-safe; the caller sees to it that cores aren't shared.
  virtual absl::StatusOr<std::vector<db::Measurement>> Measure(const MeasurePlan& plan) = 0;
};

}  // namespace tessera::runner
