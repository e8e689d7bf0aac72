#include "bench/vta/simulated.h"

#include <algorithm>

#include "base/hash.h"
#include "base/status.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/trace.h"
#include "tuner/config_search_space.h"

namespace tessera::bench {

absl::StatusOr<std::shared_ptr<SimulatedLayer>> SimulatedLayer::Make(const Layer& layer,
                                                                     const Epilogue& epilogue,
                                                                     const std::string& target) {
  TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::MakeWorkload(layer.Spec(epilogue)));
  TESSERA_ASSIGN_OR_RETURN(ir::Target parsed, ir::ParseTarget(target));
  std::shared_ptr<SimulatedLayer> made(
      new SimulatedLayer(layer, std::move(workload), std::move(parsed)));
  TESSERA_ASSIGN_OR_RETURN(made->space_, tuner::MakeSearchSpace(made->task_));
  return made;
}

SimulatedLayer::SimulatedLayer(Layer layer, te::Workload workload, ir::Target target)
    : layer_(std::move(layer)), workload_(std::move(workload)), target_(std::move(target)) {
  task_.name = layer_.name;
  task_.workload = te::Print(workload_);
  task_.workload_hash = HashToHex(te::StructuralHash(workload_.dag));
  task_.target = ir::ToString(target_);
}

absl::StatusOr<SimulatedProgram> SimulatedLayer::Simulate(const std::string& trace,
                                                          const vta::Timing& timing) const {
  schedule::Trace steps;
  if (trace.empty()) {
    TESSERA_ASSIGN_OR_RETURN(steps, schedule::DefaultTrace(workload_.dag, target_));
  } else {
    TESSERA_ASSIGN_OR_RETURN(steps, schedule::ParseTrace(trace));
  }
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule,
                           schedule::ApplyTrace(workload_.dag, steps));
  TESSERA_ASSIGN_OR_RETURN(std::vector<SimulatedProgram> kernels,
                           codesign::Simulate(schedule, target_, timing));
  TESSERA_CHECK(kernels.size() == 1);
  return std::move(kernels[0]);
}

absl::StatusOr<int64_t> SimulatedLayer::Cycles(const std::string& loop_hash,
                                               const std::string& trace) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = known_.find(loop_hash);
    if (found != known_.end()) return found->second.cycles;
  }
  const absl::StatusOr<SimulatedProgram> program = Simulate(trace);
  const absl::StatusOr<int64_t> cycles =
      program.ok() ? absl::StatusOr<int64_t>(program->report.cycles) : program.status();
  absl::MutexLock lock(&mutex_);
  known_.emplace(loop_hash, Known{cycles, trace});
  return cycles;
}

std::vector<std::pair<int64_t, std::string>> SimulatedLayer::Fastest(size_t count) const {
  std::vector<std::pair<int64_t, std::string>> programs;
  absl::MutexLock lock(&mutex_);
  for (const auto& [hash, known] : known_) {
    if (known.cycles.ok()) programs.emplace_back(*known.cycles, known.trace);
  }
  std::ranges::sort(programs);
  programs.resize(std::min(count, programs.size()));
  return programs;
}

}  // namespace tessera::bench
