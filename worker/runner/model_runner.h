#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "worker/runner/runner.h"
#include "worker/sandbox/sandbox.h"

// Times whole models, as a program runs them that has their libraries: what kernels take where they
// are in the model, after those before them, with their weights where these are then.

namespace tessera::runner {

// Libraries of one model, which differ in their kernels' schedules.
struct ModelPlan {
  std::string name;    // of their C functions, at most 64 characters
  std::string bucket;  // of those that run it: the name, or a bucket's, at most 255 characters
  std::vector<std::string> libraries;  // shared objects, at least two
  std::vector<BufferSpec> buffers;     // inputs, then outputs; row-major
  int steps = 0;                       // kernels of a run
  std::vector<OracleSample> samples;   // of seeded inputs; none: outputs are not checked
  std::vector<Tolerance> tolerances;   // one an output
  uint64_t seed = 0;                   // of the inputs, by base/test_data.h
  int threads = 1;
  std::vector<int> cores;  // one a thread; empty: not pinned
  int turns = 5;
  double min_turn_seconds = 0.1;            // of the runs of a turn, at least one
  double max_seconds = 60;                  // no library begins its turn later, except its first
  int64_t memory_bytes = int64_t{4} << 30;  // of a library beside its tensors
  const std::atomic<bool>* cancelled = nullptr;  // as of MeasurePlan
};

struct ModelTiming {
  // A sample a turn: seconds of a run, its kernels not timed. As of runner.h else; kWrongAnswer
  // where outputs differ from the samples.
  db::Measurement measurement;
  std::vector<double> step_seconds;  // of a kernel in a run, median of the turns; empty unless kOk
};

// One timing a library, in order. They take turns as comparisons do (turns.h), a turn each in a
// child of `spawner`; a library that clearly loses to the first takes no more. InvalidArgument: the
// plan contradicts itself. Unavailable, ResourceExhausted: this machine; Cancelled. The caller sees
// to it that cores aren't shared.
absl::StatusOr<std::vector<ModelTiming>> MeasureModels(sandbox::Spawner& spawner,
                                                       const ModelPlan& plan);

}  // namespace tessera::runner
