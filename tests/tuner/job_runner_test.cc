#include "tuner/job_runner.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <thread>

#include "tests/tuner/rig.h"

namespace tessera::test {
namespace {

using db::EventKind;
using db::JobState;
using db::Outcome;

std::set<int64_t> TrialsWithResult(const std::vector<db::Event>& log) {
  std::set<int64_t> trials;
  for (const db::Event& event : log) {
    if (event.kind == EventKind::kResult && event.outcome != Outcome::kInfrastructure) {
      trials.insert(event.trial);
    }
  }
  return trials;
}

TEST_CASE("a job uses every task's budget and ends as done", "[tuner]") {
  Rig rig(3, Budget(40), {.capacity = 5, .noise = 0.05, .failure_rate = 0.05, .reorder = true});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kDone);
  CHECK(job.message.empty());
  CHECK(TrialsWithResult(rig.Log()).size() == 120);
  CHECK(rig.Log(EventKind::kTaskDone).size() == 3);
  CHECK(rig.Records().size() == 120);
  for (const tuner::TaskProgress& task : rig.last_progress.tasks) {
    CHECK(task.finished == 40);
    CHECK(task.proposed == 40);
    CHECK(task.in_flight == 0);
    CHECK(task.done);
    CHECK(task.has_model);
  }
  CHECK(rig.last_progress.eta_seconds == 0);
  CHECK(rig.measurer->abandoned() == 1);
}

TEST_CASE("progress names the fastest successful record of each task", "[tuner]") {
  Rig rig(2, Budget(32), {.noise = 0.1, .failure_rate = 0.2, .infrastructure_rate = 0.1});
  rig.Run();
  for (const tuner::TaskProgress& task : rig.last_progress.tasks) {
    double best = 1e9;
    db::Record best_record;
    std::array<int, tuner::kOutcomeCount> outcomes{};
    for (const db::Record& record : rig.Records()) {
      const db::Job job = *rig.memory.GetJob(rig.job_id);
      if (record.task_key != job.tasks[task.name == "T1"].Key()) continue;
      ++outcomes[static_cast<int>(record.measurement.outcome)];
      if (record.measurement.CostSeconds() < best) {
        best = record.measurement.CostSeconds();
        best_record = record;
      }
    }
    CHECK(task.best_seconds == best);
    CHECK(task.best_record_id == best_record.id);
    CHECK(task.best_trace == best_record.trace);
    CHECK(task.best_config == best_record.config);
    CHECK(task.outcomes == outcomes);
  }
}

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

TEST_CASE("killed at any event and continued, a job makes the same proposals in the same order",
          "[tuner]") {
  const SimulationOptions one{.capacity = 1, .noise = 0.05, .failure_rate = 0.05};
  Rig whole(2, Budget(24, 7), one);
  whole.Run();
  const std::vector<db::Event> expected = whole.Log();
  REQUIRE(whole.Log(EventKind::kModelReady).size() >= 2);

  for (int64_t kill = 1; kill < static_cast<int64_t>(expected.size()); ++kill) {
    CAPTURE(kill);
    Rig rig(2, Budget(24, 7), one);
    rig.store.events_left = kill;
    {
      auto runner = *rig.Runner();
      rig.Drive(*runner);
    }
    const std::set<int64_t> measured = TrialsWithResult(rig.Log());
    const int fits_before = rig.learner->fits;
    const int models_before = static_cast<int>(rig.Log(EventKind::kModelReady).size());

    rig.store.events_left = int64_t{1} << 60;
    rig.NewMeasurer();
    const db::Job job = rig.Run();
    REQUIRE(job.state == JobState::kDone);
    for (const tuner::TrialRequest& request : rig.measurer->started()) {
      REQUIRE(measured.count(request.trial) == 0);
    }
    // At most the fits whose model was not logged yet are made again.
    REQUIRE(rig.learner->fits - fits_before <=
            static_cast<int>(whole.Log(EventKind::kModelReady).size()) - models_before);

    const std::vector<db::Event> log = rig.Log();
    REQUIRE(log.size() == expected.size());
    for (size_t i = 0; i < log.size(); ++i) {
      CAPTURE(i);
      REQUIRE(log[i].kind == expected[i].kind);
      REQUIRE(log[i].trial == expected[i].trial);
      REQUIRE(log[i].config == expected[i].config);
      REQUIRE(log[i].explorer == expected[i].explorer);
      REQUIRE(log[i].cost_seconds == expected[i].cost_seconds);
      REQUIRE(log[i].model == expected[i].model);
    }
  }
}

TEST_CASE("killed again and again under load, a job measures every trial once", "[tuner]") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Rig rig(3, Budget(30, seed),
            {.capacity = 6,
             .noise = 0.1,
             .failure_rate = 0.1,
             .infrastructure_rate = 0.1,
             .give_back_rate = 0.1,
             .reorder = true,
             .seed = seed});
    Rng rng(seed);
    db::Job job;
    int kills = 0;
    do {
      rig.store.events_left = rng.Between(5, 30);
      rig.NewMeasurer();
      const std::set<int64_t> measured = TrialsWithResult(rig.Log());
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
    CHECK(proposed.size() == 90);
    std::map<int64_t, int> results;
    for (const db::Event& event : rig.Log(EventKind::kResult)) {
      results[event.trial] += event.outcome != Outcome::kInfrastructure;
    }
    for (const auto& [trial, count] : results) CHECK(count <= 1);
    std::set<std::pair<int, std::string>> programs;
    for (const db::Event& event : proposed) programs.insert({event.task_index, event.loop_hash});
    CHECK(programs.size() == 90);
  }
}

TEST_CASE("an infrastructure failure is final: the measurer has tried again", "[tuner]") {
  Rig rig(1, Budget(12), {.capacity = 2, .infrastructure_rate = 1});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kFailed);
  CHECK(job.message == "no trial succeeded for T0; last failure: device lost");
  std::set<int64_t> trials;
  for (const tuner::TrialRequest& request : rig.measurer->started()) {
    CHECK(trials.insert(request.trial).second);
  }
  CHECK(trials.size() == 12);
  CHECK(rig.Records().size() == 12);
  CHECK(rig.learner->fits == 0);
}

TEST_CASE("a trial that was given back untried is handed out again without a record", "[tuner]") {
  Rig rig(1, Budget(12), {.capacity = 2, .give_back_rate = 1});
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.Log(EventKind::kLeaseLost).size() == 12);
  CHECK(rig.measurer->started().size() == 24);
  CHECK(rig.Records().size() == 12);
}

TEST_CASE("a trial that is given back for ever ends as infrastructure failure", "[tuner]") {
  Rig rig(1, Budget(4),
          {.capacity = 2, .infrastructure_rate = 1, .give_back_rate = 1, .give_backs = 1000});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kFailed);
  CHECK(rig.Log(EventKind::kLeaseLost).size() == 4 * 8);
  CHECK(rig.Records().size() == 4);
  CHECK(rig.Records()[0].measurement.reason == "given back untried 9 times");
}

TEST_CASE("a job whose every candidate fails says why", "[tuner]") {
  Rig rig(1, Budget(10), {.failure_rate = 1});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kFailed);
  CHECK(job.message == "no trial succeeded for T0; last failure: crashed");
}

TEST_CASE("a space smaller than the budget ends the task early", "[tuner]") {
  // Two knobs of four choices, the last in pairs: 8 programs, and the baseline.
  Rig rig(1, Budget(64), {}, 3, 2, 4);
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.Log(EventKind::kProposed).size() == 9);
}

TEST_CASE("a budget of zero is done at once", "[tuner]") {
  Rig rig(2, Budget(0), {});
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.measurer->started().empty());
}

TEST_CASE("cancelling ends the job, also after a restart, and drops later results", "[tuner]") {
  Rig rig(2, Budget(40), {.capacity = 4});
  {
    auto runner = *rig.Runner();
    for (int i = 0; i < 10; ++i) {
      REQUIRE(runner->Step());
      rig.measurer->Deliver();
    }
    runner->Cancel();
    CHECK_FALSE(runner->Step());
    CHECK(runner->Progress()->state == JobState::kCancelled);
    const size_t records = rig.Records().size();
    while (rig.measurer->Deliver()) {
    }
    CHECK_FALSE(runner->Step());
    CHECK(rig.Records().size() == records);
  }
  CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kCancelled);
  CHECK(rig.Log().back().kind == EventKind::kCancel);
  CHECK(rig.measurer->abandoned() == 1);
  auto again = *rig.Runner();
  CHECK_FALSE(again->Step());
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

TEST_CASE("max_seconds ends the job with what it has, counted over restarts", "[tuner]") {
  db::JobOptions options = Budget(1000);
  options.max_seconds = 10;
  Rig rig(1, options, {.capacity = 1});
  const auto advance = [&](tuner::JobRunner& runner) {
    for (int i = 0; i < 6; ++i) {
      if (!runner.Step()) return false;
      rig.measurer->Deliver();
      rig.clock.Advance(absl::Seconds(1));
    }
    return true;
  };
  CHECK(advance(**rig.Runner()));
  rig.NewMeasurer();
  CHECK_FALSE(advance(**rig.Runner()));
  const db::Job job = *rig.memory.GetJob(rig.job_id);
  CHECK(job.state == JobState::kDone);
  CHECK(job.message.find("stopped after 10 s (max_seconds) with ") == 0);
  CHECK(rig.Records().size() >= 8);
  CHECK(rig.Records().size() <= 11);
}

TEST_CASE("without a device the job waits and says so", "[tuner]") {
  Rig rig(1, Budget(8), {});
  rig.measurer->SetOnline(false);
  auto runner = *rig.Runner();
  for (int i = 0; i < 3; ++i) CHECK(runner->Step());
  CHECK(runner->Progress()->starved);
  CHECK(runner->Progress()->message == "waits: no connected device takes synthetic (T0)");
  CHECK(rig.Log().empty());
  rig.measurer->SetOnline(true);
  CHECK(runner->Step());
  CHECK_FALSE(runner->Progress()->starved);
  rig.Drive(*runner);
  CHECK(runner->Progress()->state == JobState::kDone);
}

TEST_CASE(
    "a job that waits for a device says so while others of its trials run, without a time left",
    "[tuner]") {
  Rig rig(3, Budget(20), {.capacity = 2});
  auto runner = *rig.Runner();
  for (int i = 0; i < 5; ++i) {
    CHECK(runner->Step());
    rig.clock.Advance(absl::Milliseconds(10));
    rig.measurer->Deliver();
  }
  CHECK(runner->Progress()->message.empty());
  CHECK(runner->Progress()->eta_seconds > 0);
  rig.measurer->SetOnline(false);  // trials that were handed over stay where they are
  CHECK(runner->Step());
  CHECK(rig.measurer->held() > 0);
  CHECK(runner->Progress()->starved);
  CHECK(runner->Progress()->message ==
        "waits: no connected device takes synthetic (T0 and 2 more)");
  CHECK(runner->Progress()->eta_seconds < 0);
  rig.measurer->SetOnline(true);
  rig.Drive(*runner);
  CHECK(runner->Progress()->state == JobState::kDone);
  CHECK(runner->Progress()->message.empty());
}

TEST_CASE("a job whose trials wait for busy devices does not miss one", "[tuner]") {
  Rig rig(1, Budget(20), {.capacity = 0});
  auto runner = *rig.Runner();
  CHECK(runner->Step());
  CHECK_FALSE(runner->Progress()->starved);
  CHECK(runner->Progress()->message.empty());
}

TEST_CASE("a slow trial delays nothing but itself", "[tuner]") {
  Rig rig(1, Budget(30), {.capacity = 2});
  auto runner = *rig.Runner();
  runner->Step();
  REQUIRE(rig.measurer->held() == 2);
  rig.measurer->HoldBack(0);
  for (int i = 0; i < 29; ++i) {
    REQUIRE(rig.measurer->Deliver());
    runner->Step();
  }
  CHECK(runner->Progress()->tasks[0].finished == 29);
  CHECK(runner->Progress()->tasks[0].in_flight == 1);
  CHECK_FALSE(runner->Progress()->tasks[0].done);
}

TEST_CASE("a failing learner leaves the job running without a model", "[tuner]") {
  Rig rig(1, Budget(40), {});
  rig.learner->fail = true;
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.learner->fits > 0);
  CHECK(rig.learner->fits <= 5);
  CHECK(rig.Log(EventKind::kModelReady).empty());
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

const absl::Status kFull = absl::ResourceExhaustedError("the disk is full");

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
  CHECK(TrialsWithResult(rig.Log()).size() == 30);
}

TEST_CASE("a store that fails is not tried all the time", "[tuner]") {
  Rig rig(1, Budget(30), {.capacity = 4});
  auto runner = *rig.Runner();
  runner->Step();
  rig.store.log_refusal = kFull;
  while (rig.measurer->Deliver()) {
  }
  runner->Start();
  absl::SleepFor(absl::Milliseconds(300));
  runner->Stop();
  CHECK(rig.store.refused >= 1);
  CHECK(rig.store.refused <= 3);
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
        for (const auto& [task, models] : kept()) most = std::max(most, models.size());
        rig.measurer->Deliver();
      } while (rig.store.events_left > 0 && runner->Step());
    } while (rig.memory.GetJob(rig.job_id)->state == JobState::kRunning);
    CHECK(rig.memory.GetJob(rig.job_id)->state == JobState::kDone);
    CHECK(rig.Log(EventKind::kModelReady).size() >= 10);
    CHECK(most == 1);
    CHECK(kept().empty());
  }
}

TEST_CASE("progress is made anew when something changed, or a second later", "[tuner]") {
  Rig rig(1, Budget(20), {.capacity = 2});
  auto runner = *rig.Runner();
  runner->Step();
  const auto first = runner->Progress();
  for (int i = 0; i < 10; ++i) runner->Step();
  CHECK(runner->Progress() == first);
  rig.clock.Advance(absl::Seconds(1));
  runner->Step();
  CHECK(runner->Progress()->revision == first->revision + 1);
  rig.measurer->Deliver();
  runner->Step();
  CHECK(runner->Progress()->revision == first->revision + 2);
  CHECK(runner->Progress()->tasks[0].finished == 1);
}

TEST_CASE("a job that waits does not look at devices all the time", "[tuner]") {
  Rig rig(1, Budget(20), {});
  rig.measurer->SetOnline(false);
  auto runner = *rig.Runner();
  runner->Start();
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rig.measurer->asked() <= 3);
  rig.measurer->SetOnline(true);
  runner->Wake();
  absl::SleepFor(absl::Milliseconds(200));
  CHECK(rig.measurer->held() > 0);
  runner->Stop();
}

TEST_CASE("an unknown explorer is refused by name", "[tuner]") {
  Rig rig(1, Budget(4, 0, "divination"), {});
  const auto runner = rig.Runner();
  CHECK(runner.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(runner.status().message() ==
        "explorer 'divination' is not known; choose annealing or random");
}

TEST_CASE("runner, devices, fits and readers run in their own threads", "[tuner]") {
  Rig rig(4, Budget(100),
          {.capacity = 8,
           .noise = 0.05,
           .failure_rate = 0.05,
           .infrastructure_rate = 0.05,
           .reorder = true});
  tuner::BackgroundExecutor background;
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces(rig.spaces.begin(),
                                                                rig.spaces.end());
  auto runner = *tuner::JobRunner::Create(
      *rig.memory.GetJob(rig.job_id),
      {spaces, rig.learner, rig.memory, *rig.measurer, background, Clock::Real()});
  runner->Start();
  std::atomic<bool> stop = false;
  std::vector<std::thread> devices;
  for (int d = 0; d < 2; ++d) {
    devices.emplace_back([&] {
      while (!stop) {
        if (!rig.measurer->Deliver()) absl::SleepFor(absl::Microseconds(100));
      }
    });
  }
  std::thread reader([&] {
    while (!stop) {
      CHECK(runner->Progress()->tasks.size() == 4);
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  runner->Wait();
  stop = true;
  for (std::thread& device : devices) device.join();
  reader.join();
  CHECK(runner->Progress()->state == JobState::kDone);
  CHECK(rig.Log(EventKind::kProposed).size() == 400);
  CHECK(rig.Log(EventKind::kModelReady).size() >= 4);
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
  CHECK(TrialsWithResult(rig.Log()).size() == 60);
}

}  // namespace
}  // namespace tessera::test
