#include "tuner/job_runner.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "tests/tuner/rig.h"
#include "tuner/explorer.h"
#include "tuner/prior_store.h"

namespace tessera::test {
namespace {

using db::EventKind;
using db::JobState;
using db::Outcome;

const absl::Status kFull = absl::ResourceExhaustedError("the disk is full");

TEST_CASE("a result is in the store before the device is told", "[tuner]") {
  Rig rig(1, Budget(20), {.capacity = 1});
  auto runner = *rig.Runner();
  for (int i = 0; i < 10; ++i) {
    runner->Step();
    CHECK(rig.measurer->stored().size() == rig.Records().size());
    rig.measurer->Deliver();
  }
  CHECK(rig.measurer->stored().size() == 9);
}

// Kills a job at every `stride`th event, continues it, and compares with one that nobody killed.
void CheckKilledAnywhere(const std::function<std::unique_ptr<Rig>()>& make_rig, int64_t stride) {
  const auto whole = make_rig();
  whole->Run();
  const std::vector<db::Event> expected = whole->Log();
  const auto models = static_cast<int>(whole->Log(EventKind::kModelReady).size());

  for (int64_t kill = 1; kill < static_cast<int64_t>(expected.size()); kill += stride) {
    CAPTURE(kill);
    const auto rig = make_rig();
    rig->store.events_left = kill;
    {
      auto runner = *rig->Runner();
      rig->Drive(*runner);
    }
    const std::set<int64_t> measured = rig->TrialsWithResult();
    const int fits_before = rig->learner->fits;
    const int models_before = static_cast<int>(rig->Log(EventKind::kModelReady).size());

    rig->store.events_left = int64_t{1} << 60;
    rig->NewMeasurer();
    const db::Job job = rig->Run();
    REQUIRE(job.state == JobState::kDone);
    REQUIRE(job.message == whole->memory.GetJob(whole->job_id)->message);
    for (const tuner::TrialRequest& request : rig->measurer->started()) {
      REQUIRE(measured.count(request.trial) == 0);
    }
    // At most the fits whose model was not logged yet are made again.
    REQUIRE(rig->learner->fits - fits_before <= models - models_before);

    const std::vector<db::Event> log = rig->Log();
    REQUIRE(log.size() == expected.size());
    for (size_t i = 0; i < log.size(); ++i) {
      CAPTURE(i);
      REQUIRE(log[i].kind == expected[i].kind);
      REQUIRE(log[i].trial == expected[i].trial);
      REQUIRE(log[i].task_index == expected[i].task_index);
      REQUIRE(log[i].config == expected[i].config);
      REQUIRE(log[i].explorer == expected[i].explorer);
      REQUIRE(log[i].cost_seconds == expected[i].cost_seconds);
      REQUIRE(log[i].model == expected[i].model);
      REQUIRE(log[i].reason == expected[i].reason);
    }
  }
}

TEST_CASE("killed at any event and continued, a job makes the same proposals in the same order",
          "[tuner]") {
  for (size_t i = 0; i < 2 * tuner::ExplorerKinds().size(); ++i) {
    const std::string explorer(tuner::ExplorerKinds()[i / 2].name);
    const bool with_prior = i % 2 == 1;
    CAPTURE(explorer, with_prior);
    const auto kind = *tuner::MakeExplorer(explorer);
    const auto make_rig = [&] {
      auto rig = std::make_unique<Rig>(
          2, Budget(BeyondFirstPlan(explorer, 24), 7, explorer),
          SimulationOptions{.capacity = 1, .noise = 0.05, .failure_rate = 0.05});
      rig->UseDrafts();
      if (with_prior) rig->LearnBefore(12);
      return rig;
    };
    const auto whole = make_rig();
    whole->Run();
    REQUIRE(whole->Log(EventKind::kModelReady).size() >= (kind->UsesModel() ? 2 : 0));
    // A plan takes long to make, and most events of it are alike.
    CheckKilledAnywhere(make_rig, kind->PlanSize() > 0 ? 7 : 1);
  }
}

TEST_CASE("killed and continued, a job spreads its trials in the same way, by every scheduler",
          "[tuner]") {
  for (const tuner::TaskSchedulerKind& kind : tuner::TaskSchedulerKinds()) {
    const std::string scheduler(kind.name);
    CAPTURE(scheduler);
    // Two flat tasks, which end early by "gradient", and a small one, which runs dry.
    const auto make_rig = [&] {
      auto rig = std::make_unique<Rig>(
          3, Budget(100, 3, "annealing", scheduler),
          SimulationOptions{.capacity = 1, .noise = 0.002, .failure_rate = 0.05}, 5, 8);
      rig->spaces[0]->depth = rig->spaces[2]->depth = 0;
      rig->spaces[1] = std::make_shared<SyntheticSpace>(3, 2, 4);
      return rig;
    };
    const auto whole = make_rig();
    whole->Run();
    std::set<std::string> reasons;
    for (const db::Event& event : whole->Log(EventKind::kTaskDone)) reasons.insert(event.reason);
    CHECK(reasons == (scheduler == "gradient"
                          ? std::set<std::string>{"little left to gain", "no more programs"}
                          : std::set<std::string>{"", "no more programs"}));
    CheckKilledAnywhere(make_rig, 13);
  }
}

TEST_CASE("killed again and again under load, a job measures every trial once", "[tuner]") {
  for (uint64_t seed = 1; seed <= 2 * tuner::ExplorerKinds().size(); ++seed) {
    const std::string explorer(tuner::ExplorerKinds()[(seed - 1) / 2].name);
    const bool with_prior = seed % 2 == 1;
    const auto kinds = tuner::TaskSchedulerKinds();
    const std::string scheduler(kinds[seed % kinds.size()].name);
    CAPTURE(seed, explorer, scheduler, with_prior);
    const int trials = BeyondFirstPlan(explorer, 30);
    Rig rig(3, Budget(trials, seed, explorer, scheduler),
            {.capacity = 6,
             .noise = 0.1,
             .failure_rate = 0.1,
             .infrastructure_rate = 0.1,
             .give_back_rate = 0.1,
             .reorder = true,
             .seed = seed});
    rig.UseDrafts();
    if (with_prior) rig.LearnBefore(30);
    Rng rng(seed);
    db::Job job;
    int kills = 0;
    do {
      rig.store.events_left = rng.Between(5, 30);
      rig.NewMeasurer();
      const std::set<int64_t> measured = rig.TrialsWithResult();
      auto runner = *rig.Runner();
      rig.Drive(*runner, 3);
      for (const tuner::TrialRequest& request : rig.measurer->started()) {
        REQUIRE(measured.count(request.trial) == 0);
      }
      job = *rig.memory.GetJob(rig.job_id);
      ++kills;
    } while (job.state == JobState::kRunning && kills < 200);
    CHECK(job.state == JobState::kDone);
    CHECK(kills > 5);
    const std::vector<db::Event> proposed = rig.Log(EventKind::kProposed);
    CHECK(static_cast<int>(proposed.size()) == 3 * trials);
    std::map<int64_t, int> results;
    for (const db::Event& event : rig.Log(EventKind::kResult)) {
      results[event.trial] += event.outcome != Outcome::kInfrastructure;
    }
    for (const auto& [trial, count] : results) CHECK(count <= 1);
    std::set<std::pair<int, std::string>> programs;
    for (const db::Event& event : proposed) programs.insert({event.task_index, event.loop_hash});
    CHECK(static_cast<int>(programs.size()) == 3 * trials);
  }
}

// Where programs are about equally fast, so that there is something to compare.
SimulationOptions Noisy() { return {.capacity = 2, .noise = 0.02}; }

TEST_CASE("killed at any event, a job compares each task's best once and logs it once", "[tuner]") {
  Rig whole(2, Budget(30, 5), Noisy(), 1, 3, 8);
  REQUIRE(whole.Run(2).state == JobState::kDone);
  const std::vector<db::Event> expected = whole.Log(EventKind::kCompared);
  REQUIRE(expected.size() == 2);
  const auto events = static_cast<int64_t>(whole.Log().size());
  for (int64_t kill = 50; kill <= events; ++kill) {
    CAPTURE(kill);
    Rig rig(2, Budget(30, 5), Noisy(), 1, 3, 8);
    rig.store.events_left = kill;
    {
      auto runner = *rig.Runner();
      rig.Drive(*runner, 2);
    }
    const size_t compared = rig.Log(EventKind::kCompared).size();
    rig.store.events_left = int64_t{1} << 60;
    rig.NewMeasurer();
    REQUIRE(rig.Run(2).state == JobState::kDone);
    const std::vector<db::Event> log = rig.Log(EventKind::kCompared);
    REQUIRE(log.size() == 2);
    CHECK(rig.measurer->compared().size() <= 2 - compared);
    CHECK(rig.memory.ListComparisons("", "", {}, 10)->size() == 2);
    for (const db::Event& event : log) {
      CHECK(rig.last_progress.tasks[event.task_index].promoted == event.record_id);
    }
  }
}

TEST_CASE("a comparison that was stored and not logged is not made again", "[tuner]") {
  Rig rig(1, Budget(30, 5), Noisy(), 1, 3, 8);
  rig.store.dies_of_comparison = true;
  {
    auto runner = *rig.Runner();
    rig.Drive(*runner, 2);
  }
  REQUIRE(rig.memory.ListComparisons("", "", {}, 10)->size() == 1);
  REQUIRE(rig.Log(EventKind::kCompared).empty());
  rig.store.dies_of_comparison = false;
  rig.store.events_left = int64_t{1} << 60;
  rig.NewMeasurer();
  REQUIRE(rig.Run(2).state == JobState::kDone);
  CHECK(rig.measurer->compared().empty());
  REQUIRE(rig.Log(EventKind::kCompared).size() == 1);
  CHECK(rig.Log(EventKind::kCompared)[0].record_id ==
        rig.memory.ListComparisons("", "", {}, 10)->at(0).promoted);
  CHECK(rig.memory.ListComparisons("", "", {}, 10)->size() == 1);
}

TEST_CASE("of two tasks that are one workload each takes over its own unlogged comparison",
          "[tuner]") {
  const auto rig_of_twins = [] {
    auto rig = std::make_unique<Rig>(1, Budget(30, 5, "annealing", "fixed"), Noisy(), 1, 3, 8);
    rig->MakeTwins();
    return rig;
  };
  const auto whole = rig_of_twins();
  REQUIRE(whole->Run(2).state == JobState::kDone);
  const size_t comparisons = whole->memory.ListComparisons("", "", {}, 10)->size();
  REQUIRE(comparisons == 2);
  const auto events = static_cast<int64_t>(whole->Log().size());
  for (int64_t kill = 30; kill <= events; ++kill) {
    CAPTURE(kill);
    const auto rig = rig_of_twins();
    rig->store.events_left = kill;
    {
      auto runner = *rig->Runner();
      rig->Drive(*runner, 2);
    }
    rig->store.events_left = int64_t{1} << 60;
    rig->NewMeasurer();
    REQUIRE(rig->Run(2).state == JobState::kDone);
    CHECK(rig->memory.ListComparisons("", "", {}, 10)->size() ==
          rig->Log(EventKind::kCompared).size());
  }
}

TEST_CASE("a comparison whose store is full waits for it and is not lost", "[tuner]") {
  Rig rig(1, Budget(30, 5), Noisy(), 1, 3, 8);
  auto runner = *rig.Runner();
  while (rig.measurer->compared().empty()) {
    REQUIRE(runner->Step());
    rig.measurer->DeliverTrial();
  }
  rig.store.log_refusal = kFull;
  rig.measurer->DeliverComparison();
  for (int i = 0; i < 3; ++i) {
    CHECK(runner->Step());
    CHECK(runner->Progress()->stalled);
  }
  rig.store.log_refusal = absl::OkStatus();
  rig.Drive(*runner);
  CHECK(runner->Progress()->state == JobState::kDone);
  CHECK(rig.Log(EventKind::kCompared).size() == 1);
  CHECK(rig.measurer->compared().size() == 1);
}

TEST_CASE("a cancel whose end was not stored still holds after a restart", "[tuner]") {
  Rig rig(1, Budget(40), {});
  {
    auto runner = *rig.Runner();
    runner->Step();
    const auto logged = static_cast<int64_t>(rig.Log().size());
    rig.store.events_left = 1;
    runner->Cancel();
    runner->Step();
    REQUIRE(static_cast<int64_t>(rig.Log().size()) == logged + 1);
  }
  REQUIRE(rig.memory.GetJob(rig.job_id)->state == JobState::kRunning);
  rig.store.events_left = 100;
  CHECK(rig.Run().state == JobState::kCancelled);
}

TEST_CASE("a model whose bytes are gone is trained anew", "[tuner]") {
  Rig rig(1, Budget(40), {.capacity = 1});
  {
    auto runner = *rig.Runner();
    while (rig.Log(EventKind::kModelReady).empty()) {
      runner->Step();
      rig.measurer->Deliver();
    }
  }
  rig.store.lose_blobs = true;
  rig.NewMeasurer();
  auto runner = *rig.Runner();
  CHECK_FALSE(runner->Progress()->tasks[0].has_model);
  rig.store.lose_blobs = false;
  rig.Drive(*runner);
  CHECK(runner->Progress()->state == JobState::kDone);
  CHECK(runner->Progress()->tasks[0].has_model);
}

TEST_CASE("while the log can't be written a job waits, and then goes on as if nothing had been",
          "[tuner]") {
  const SimulationOptions simulation{
      .capacity = 3, .noise = 0.1, .failure_rate = 0.1, .give_back_rate = 0.2};
  Rig whole(2, Budget(24, 3), simulation);
  whole.Run(3);
  const std::vector<db::Event> expected = whole.Log();
  // Wherever the disk fills up: before the first proposal, with results, models or the end to log.
  for (int full_at = 0; full_at < 24; ++full_at) {
    CAPTURE(full_at);
    Rig rig(2, Budget(24, 3), simulation);
    auto runner = *rig.Runner();
    for (int i = 0; i < full_at && runner->Step(); ++i) {
      for (int d = 0; d < 3; ++d) rig.measurer->Deliver();
    }
    if (runner->Progress()->state != JobState::kRunning) break;
    rig.store.log_refusal = kFull;
    const size_t logged = rig.Log().size();
    for (int i = 0; i < 4; ++i) {
      REQUIRE(runner->Step());
      CHECK(runner->Progress()->stalled);
      CHECK(runner->Progress()->state == JobState::kRunning);
      CHECK(runner->Progress()->message ==
            "waits for the server's database, and goes on by itself: job 1: log: the disk is full");
      CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kRunning);
      CHECK(rig.Log().size() == logged);
    }
    rig.store.log_refusal = absl::OkStatus();
    while (runner->Step()) {
      CHECK_FALSE(runner->Progress()->stalled);
      for (int d = 0; d < 3; ++d) rig.measurer->Deliver();
    }
    CHECK(runner->Progress()->state == JobState::kDone);
    CHECK(runner->Progress()->message.empty());
    const std::vector<db::Event> log = rig.Log();
    REQUIRE(log.size() == expected.size());
    for (size_t i = 0; i < log.size(); ++i) {
      REQUIRE(log[i].kind == expected[i].kind);
      REQUIRE(log[i].trial == expected[i].trial);
      REQUIRE(log[i].config == expected[i].config);
      REQUIRE(log[i].model == expected[i].model);
    }
    CHECK(rig.measurer->started().size() == whole.measurer->started().size());
  }
}

TEST_CASE("results that come while the log can't be written are told to no device and kept",
          "[tuner]") {
  Rig rig(1, Budget(30), {.capacity = 6});
  auto runner = *rig.Runner();
  runner->Step();
  rig.store.log_refusal = kFull;
  for (int i = 0; i < 6; ++i) {
    rig.measurer->Deliver();
    runner->Step();
  }
  CHECK(rig.measurer->held() == 0);  // nothing new was handed out
  CHECK(rig.measurer->stored().empty());
  CHECK(rig.Records().empty());
  rig.store.log_refusal = absl::OkStatus();
  runner->Step();
  CHECK(rig.measurer->stored().size() == 6);
  CHECK(rig.Records().size() == 6);
  CHECK(rig.measurer->held() == 6);
}

TEST_CASE("a job whose log can't be written goes on after a restart", "[tuner]") {
  Rig rig(1, Budget(30), {.capacity = 4});
  {
    auto runner = *rig.Runner();
    for (int i = 0; i < 5; ++i) {
      runner->Step();
      rig.measurer->Deliver();
    }
    rig.store.log_refusal = kFull;
    for (int i = 0; i < 5; ++i) CHECK(runner->Step());
  }
  CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kRunning);
  rig.store.log_refusal = absl::OkStatus();
  rig.NewMeasurer();
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.TrialsWithResult().size() == 30);
}

TEST_CASE("a store that fails is not tried all the time", "[tuner]") {
  Rig rig(1, Budget(30), {.capacity = 4});
  auto runner = *rig.Runner();
  runner->Step();
  rig.store.log_refusal = kFull;
  while (rig.measurer->Deliver()) {
  }
  runner->Start();
  CHECK(Eventually([&] { return rig.store.refused > 0; }));
  absl::SleepFor(absl::Milliseconds(300));
  runner->Stop();
  CHECK(rig.store.refused <= 5);  // a second's pause each, however long this was held up
}

TEST_CASE("an end that can't be stored is stored later", "[tuner]") {
  for (const bool cancel : {false, true}) {
    CAPTURE(cancel);
    Rig rig(1, Budget(12), {});
    auto runner = *rig.Runner();
    runner->Step();
    rig.store.state_refusal = kFull;
    if (cancel) runner->Cancel();
    for (int i = 0; i < 30; ++i) {
      CHECK(runner->Step());
      rig.measurer->Deliver();
    }
    CHECK(runner->Progress()->stalled);
    CHECK(runner->Progress()->state == JobState::kRunning);
    rig.store.state_refusal = absl::OkStatus();
    CHECK_FALSE(runner->Step());
    const JobState expected = cancel ? JobState::kCancelled : JobState::kDone;
    CHECK(runner->Progress()->state == expected);
    CHECK(rig.memory.GetJob(rig.job_id)->state == expected);
  }
}

TEST_CASE("what the store refuses for its content fails the job with the reason", "[tuner]") {
  Rig rig(1, Budget(40), {});
  rig.store.log_refusal = absl::InvalidArgumentError("trace: 2 MiB, the limit is 1 MiB");
  auto runner = *rig.Runner();
  CHECK_FALSE(runner->Step());
  CHECK(runner->Progress()->state == JobState::kFailed);
  CHECK(runner->Progress()->message == "job 1: log: trace: 2 MiB, the limit is 1 MiB");
}

TEST_CASE("a job whose store is damaged fails with the reason instead of waiting for ever",
          "[tuner]") {
  for (const auto code : {absl::StatusCode::kDataLoss, absl::StatusCode::kFailedPrecondition,
                          absl::StatusCode::kNotFound, absl::StatusCode::kInternal}) {
    Rig rig(1, Budget(40), {});
    auto runner = *rig.Runner();
    CHECK(runner->Step());
    rig.measurer->Deliver();
    rig.store.log_refusal = absl::Status(code, "page 7 is damaged");
    CHECK_FALSE(runner->Step());
    CHECK(runner->Progress()->state == JobState::kFailed);
    CHECK(rig.memory.GetJob(rig.job_id)->message == "job 1: log: page 7 is damaged");
  }
}

TEST_CASE("a job whose failure can't be stored is tried again and says so", "[tuner]") {
  Rig rig(1, Budget(40), {});
  auto runner = *rig.Runner();
  rig.store.log_refusal = rig.store.state_refusal = absl::DataLossError("page 7 is damaged");
  CHECK(runner->Step());
  CHECK(runner->Progress()->stalled);
  CHECK(runner->Progress()->state == JobState::kRunning);
  rig.store.state_refusal = absl::OkStatus();
  CHECK_FALSE(runner->Step());
  CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kFailed);
}

TEST_CASE("the store keeps one model a task while the job runs, and none later", "[tuner]") {
  for (const bool kill : {false, true}) {
    CAPTURE(kill);
    Rig rig(2, Budget(60), {.capacity = 2});
    const auto kept = [&] {
      std::map<int, std::set<std::string>> models;
      for (const db::Event& event : rig.Log(EventKind::kModelReady)) {
        if (rig.memory.GetBlob(event.model).ok()) models[event.task_index].insert(event.model);
      }
      return models;
    };
    size_t most = 0;
    do {
      rig.store.events_left = kill ? 7 : int64_t{1} << 60;
      rig.NewMeasurer();
      auto runner = *rig.Runner();
      do {
        // One that was killed as it replaced a model has left two; the next one drops the old one.
        if (rig.store.events_left <= 0) break;
        for (const auto& [task, models] : kept()) most = std::max(most, models.size());
        rig.measurer->Deliver();
      } while (runner->Step());
    } while (rig.memory.GetJob(rig.job_id)->state == JobState::kRunning);
    CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kDone);
    CHECK(rig.Log(EventKind::kModelReady).size() >= 10);
    CHECK(most == 1);
    CHECK(kept().empty());
  }
}

TEST_CASE("a job's prior goes with its end", "[tuner]") {
  Rig rig(1, Budget(12), {});
  db::Job job = *rig.memory.GetJob(rig.job_id);
  job.id = 0;
  job.prior = *tuner::PutPrior(rig.memory, "one", {"", "", {{{"[1]"}, {}}}});
  rig.job_id = *rig.memory.CreateJob(job);
  auto runner = *rig.Runner();
  CHECK(rig.memory.GetBlob(job.prior).ok());
  rig.Drive(*runner);
  CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kDone);
  CHECK(absl::IsNotFound(rig.memory.GetBlob(job.prior).status()));
}

TEST_CASE("a runner dropped with trials and fits under way leaves a job that can go on",
          "[tuner]") {
  Rig rig(2, Budget(30), {.capacity = 4});
  {
    tuner::BackgroundExecutor background;
    std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces(rig.spaces.begin(),
                                                                  rig.spaces.end());
    auto runner = *tuner::JobRunner::Create(
        *rig.memory.GetJob(rig.job_id),
        {spaces, rig.learner, rig.memory, *rig.measurer, background, rig.clock});
    runner->Start();
    for (int i = 0; i < 20; ++i) {
      rig.measurer->Deliver();
      absl::SleepFor(absl::Milliseconds(1));
    }
    runner.reset();
    while (rig.measurer->Deliver()) {
    }
  }
  rig.NewMeasurer();
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.TrialsWithResult().size() == 60);
}

}  // namespace
}  // namespace tessera::test
