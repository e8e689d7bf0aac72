#include "server/jobs.h"

#include <catch2/catch.hpp>

#include "tests/server/rig.h"

namespace tessera::server {
namespace {

// Takes no trial, so that jobs stay as they are.
class NoDevices final : public tuner::Measurer {
 public:
  int Appetite(const db::Task&) override { return 0; }
  void Start(const tuner::TrialRequest&, std::function<void(db::Record)>) override {}
};

struct Fixture {
  Fixture() {
    SearchFactory search = ToySearch();
    search.space = [this, make = search.space](const db::Task& task) {
      ++spaces;
      return make(task);
    };
    jobs = std::make_unique<JobManager>(store, devices, Clock::Real(), std::move(search));
  }

  static db::Job Job(std::vector<db::Task> tasks = {Rig::Task()}, const std::string& key = "") {
    db::Job job;
    job.name = "job";
    job.options = {.trials_per_task = 5, .cost_model = "ridge", .idempotency_key = key};
    job.tasks = std::move(tasks);
    return job;
  }

  std::shared_ptr<db::MemoryStore> memory = std::make_shared<db::MemoryStore>(Clock::Real());
  SharedStore store{memory};
  NoDevices devices;
  int spaces = 0;
  std::unique_ptr<JobManager> jobs;
};

TEST_CASE("a new job's spaces are made once", "[server]") {
  Fixture f;
  const auto id = f.jobs->Create(Fixture::Job({Rig::Task(8), Rig::Task(16)}));
  REQUIRE(id.ok());
  CHECK(f.spaces == 2);
  CHECK(f.memory->GetJob(*id)->state == db::JobState::kRunning);
}

TEST_CASE("a job that an idempotency key names runs with its own tasks", "[server]") {
  Fixture f;
  // Stored by a server that ended before it could run it.
  const int64_t id = *f.memory->CreateJob(Fixture::Job({Rig::Task(8), Rig::Task(16)}, "key"));
  CHECK(*f.jobs->Create(Fixture::Job({Rig::Task(32)}, "key")) == id);
  CHECK(f.spaces == 1 + 2);
  CHECK(f.jobs->Progress(id)->tasks.size() == 2);
  CHECK(f.memory->GetJob(id)->state == db::JobState::kRunning);
}

}  // namespace
}  // namespace tessera::server
