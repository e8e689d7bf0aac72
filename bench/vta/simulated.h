#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "bench/vta/layers.h"
#include "codesign/simulate.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"
#include "db/record/record.h"
#include "tuner/search_space.h"

namespace tessera::bench {

using SimulatedProgram = codesign::SimulatedKernel;  // a convolution is one nest

// A layer as a task for a target, whose programs are simulated in this process. Cycles don't depend
// on what tensors hold, so that a program is simulated once. Thread-safe.
class SimulatedLayer {
 public:
  static absl::StatusOr<std::shared_ptr<SimulatedLayer>> Make(const Layer& layer,
                                                              const Epilogue& epilogue,
                                                              const std::string& target = "vta");

  const Layer& layer() const { return layer_; }
  const db::Task& task() const { return task_; }
  const std::shared_ptr<const tuner::SearchSpace>& space() const { return space_; }

  // Of a trace's program; of an empty one the default schedule's.
  absl::StatusOr<SimulatedProgram> Simulate(const std::string& trace,
                                            const vta::Timing& timing = {}) const;
  // By the default timing, remembered by the program's loop hash.
  absl::StatusOr<int64_t> Cycles(const std::string& loop_hash, const std::string& trace);
  // The fastest that Cycles was asked for, at most `count`: cycles with their traces.
  std::vector<std::pair<int64_t, std::string>> Fastest(size_t count) const;

 private:
  SimulatedLayer(Layer layer, te::Workload workload, ir::Target target);

  struct Known {
    absl::StatusOr<int64_t> cycles;
    std::string trace;
  };

  const Layer layer_;
  const te::Workload workload_;
  const ir::Target target_;
  db::Task task_;
  std::shared_ptr<const tuner::SearchSpace> space_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);  // by loop hash
};

}  // namespace tessera::bench
