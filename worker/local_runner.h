#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/agent/roles.h"
#include "worker/runner/runner.h"
#include "worker/sandbox/sandbox.h"

namespace tessera {

// A runner of this process as the agent's runner role: plans of the protocol become plans of the
// runner, those of models are run in children of a spawner. What hinders the measurement itself is
// kInfrastructure.
class LocalRunner final : public agent::RunnerRole {
 public:
  // `runner` outlives this, and so does `models`, whose children run libraries of models; null:
  // this device runs none.
  explicit LocalRunner(runner::Runner& runner, sandbox::Spawner* models = nullptr)
      : runner_(runner), models_(models) {}

  std::vector<db::Measurement> Run(const proto::RunPlan& plan,
                                   const std::vector<std::string>& artifacts,
                                   const std::string& reference,
                                   const std::vector<int>& cores) override;
  std::vector<proto::ModelTiming> RunModels(const proto::ModelPlan& plan,
                                            const std::vector<std::string>& libraries,
                                            const std::vector<int>& cores) override;
  void Cancel(uint64_t fence) override;

 private:
  void Begin(uint64_t fence);

  runner::Runner& runner_;
  sandbox::Spawner* const models_;
  absl::Mutex mutex_;
  uint64_t fence_ ABSL_GUARDED_BY(mutex_) = 0;  // of the plan that runs; 0: none
  std::atomic<bool> cancelled_ = false;         // that plan
};

}  // namespace tessera
