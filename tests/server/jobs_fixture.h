#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/jobs.h"
#include "tests/server/rig.h"
#include "tests/server/troubled_store.h"
#include "tuner/config_search_space.h"

// A server's jobs where no device takes a trial.

namespace tessera::server {

// Takes no trial, so that jobs stay as they are.
class NoDevices final : public tuner::Measurer {
 public:
  int Appetite(const db::Task&, std::string_view) override { return 0; }
  void Start(const tuner::TrialRequest&, std::function<void(db::Record)>) override {}
};

struct JobsFixture {
  JobsFixture() {
    SearchFactory search = ToySearch();
    search.space =
        [this, make = search.space](
            const db::Task& task, std::string_view pins,
            std::string_view allowed) -> absl::StatusOr<std::shared_ptr<const tuner::SearchSpace>> {
      ++spaces;
      last_pins = std::string(pins);
      last_allowed = std::string(allowed);
      if (pins == "unknown") return absl::InvalidArgumentError("task t: pins: no such knob");
      return make(task, pins, allowed);
    };
    search.learner = [make = search.learner](std::string_view name, uint64_t seed,
                                             const tuner::SavedModel& prior) {
      return make(name == tuner::kWithPrior ? "ridge" : name, seed, prior);
    };
    jobs = std::make_unique<JobManager>(store, devices, clock, std::move(search));
  }

  static db::Job Job(std::vector<db::Task> tasks = {Rig::Task()}, const std::string& key = "") {
    db::Job job;
    job.name = "job";
    job.options = {.trials_per_task = 5, .cost_model = "ridge", .idempotency_key = key};
    job.tasks = std::move(tasks);
    return job;
  }

  std::shared_ptr<db::MemoryStore> memory = std::make_shared<db::MemoryStore>(Clock::Real());
  ManualClock clock;
  TroubledStore store{memory};
  NoDevices devices;
  int spaces = 0;
  std::string last_pins, last_allowed;
  std::unique_ptr<JobManager> jobs;
};

}  // namespace tessera::server
