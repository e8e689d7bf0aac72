#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/agent/roles.h"
#include "worker/runner/runner.h"

namespace tessera {

// A runner of this process as the agent's runner role: plans of the protocol become plans of the
// runner. What hinders the measurement itself is kInfrastructure.
class LocalRunner final : public agent::RunnerRole {
 public:
  // `runner` outlives this.
  explicit LocalRunner(runner::Runner& runner) : runner_(runner) {}

  std::vector<db::Measurement> Run(const proto::RunPlan& plan,
                                   const std::vector<std::string>& artifacts,
                                   const std::string& reference,
                                   const std::vector<int>& cores) override;
  void Cancel(uint64_t fence) override;

 private:
  void Begin(uint64_t fence);

  runner::Runner& runner_;
  absl::Mutex mutex_;
  uint64_t fence_ ABSL_GUARDED_BY(mutex_) = 0;  // of the plan that runs; 0: none
  std::atomic<bool> cancelled_ = false;         // that plan
};

}  // namespace tessera
