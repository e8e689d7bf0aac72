#pragma once

#include "worker/agent/roles.h"
#include "worker/runner/runner.h"

namespace tessera {

// A runner of this process as the agent's runner role: plans of the protocol become plans of the
// runner. What hinders the measurement itself is kInfrastructure.
class LocalRunner final : public agent::RunnerRole {
 public:
  // `runner` outlives this.
  explicit LocalRunner(runner::Runner& runner) : runner_(runner) {}

  db::Measurement Run(const proto::RunPlan& plan, const std::string& artifact,
                      const std::string& reference, const std::vector<int>& cores) override;

 private:
  runner::Runner& runner_;
};

}  // namespace tessera
