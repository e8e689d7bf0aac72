#include "tuner/job_runner.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <thread>

#include "tests/tuner/rig.h"
#include "tuner/explorer.h"

namespace tessera::test {
namespace {

using db::EventKind;
using db::JobState;

TEST_CASE("a job uses every task's budget and ends as done", "[tuner]") {
  Rig rig(3, Budget(40), {.capacity = 5, .noise = 0.05, .failure_rate = 0.05, .reorder = true});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kDone);
  CHECK(job.message.empty());
  CHECK(rig.TrialsWithResult().size() == 120);
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

TEST_CASE("a job uses the trials that no task has an equal share of", "[tuner]") {
  db::JobOptions options = Budget(8);
  options.extra_trials = 2;
  Rig rig(3, options, {.capacity = 5});
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.Records().size() == 26);
  std::vector<int> finished;
  for (const tuner::TaskProgress& task : rig.last_progress.tasks) {
    finished.push_back(task.finished);
    CHECK(task.weight == 1);
  }
  CHECK(finished == std::vector<int>{9, 9, 8});
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
    CHECK(task.outcomes == outcomes);
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

TEST_CASE("a task's fastest programs are compared when its budget is used up", "[tuner]") {
  Rig rig(1, Budget(40), {.noise = 0.02}, 1, 3, 8);
  auto runner = *rig.Runner();
  while (rig.measurer->compared().empty()) {
    REQUIRE(runner->Step());
    rig.measurer->DeliverTrial();
  }
  CHECK(rig.TrialsWithResult().size() == 40);
  CHECK(runner->Progress()->message == "compares the fastest programs of T0 with each other");
  CHECK_FALSE(runner->Progress()->tasks[0].done);
  const tuner::ComparisonRequest request = rig.measurer->compared()[0];
  CHECK(request.job_id == rig.job_id);
  CHECK(request.device_class == "simulated");
  REQUIRE(request.programs.size() >= 2);
  CHECK(request.programs.size() <= 5);
  CHECK(request.programs[0].id == runner->Progress()->tasks[0].best_record_id);
  for (const db::Record& program : request.programs) CHECK(!program.trace.empty());

  rig.Drive(*runner);
  CHECK(runner->Progress()->message.empty());
  const std::vector<db::Event> compared = rig.Log(EventKind::kCompared);
  REQUIRE(compared.size() == 1);
  CHECK(runner->Progress()->tasks[0].promoted == compared[0].record_id);
  const db::Comparison comparison = rig.memory.ListComparisons("", "", {}, 10)->at(0);
  CHECK(comparison.job_id == rig.job_id);
  CHECK(comparison.promoted == compared[0].record_id);
  CHECK(comparison.record_ids.size() == request.programs.size());
  CHECK(comparison.task_key == request.task.Key());
}

TEST_CASE("where times are exact nothing is compared but with what was promoted before",
          "[tuner]") {
  const bool was_promoted = GENERATE(false, true);
  Rig rig(1, Budget(40), {.exact_times = true}, 1, 3, 8);
  if (was_promoted) {
    db::Comparison earlier;
    earlier.task_key = rig.memory.GetJob(rig.job_id)->tasks[0].Key();
    earlier.device_class = "simulated";
    for (const double seconds : {1e3, 2e3}) {
      db::Record record;
      record.task_key = earlier.task_key;
      record.attempt_key = record.trace = absl::StrCat("earlier ", seconds);
      record.device_class = earlier.device_class;
      record.measurement.outcome = db::Outcome::kOk;
      record.measurement.sample_seconds = {seconds};
      earlier.record_ids.push_back(rig.memory.Append({record}, {})->at(0));
      earlier.sample_seconds.push_back({seconds});
    }
    earlier.promoted = earlier.record_ids[0];
    REQUIRE(rig.memory.AppendComparison(earlier).ok());
  }
  CHECK(rig.Run().state == JobState::kDone);
  const tuner::TaskProgress& task = rig.last_progress.tasks[0];
  CHECK(rig.measurer->compared().size() == (was_promoted ? 1 : 0));
  CHECK(task.promoted == (was_promoted ? task.best_record_id : 0));
  CHECK(rig.TrialsWithResult().size() == 40);
}

TEST_CASE("a job compares on the devices that it had, not where the log's fastest was measured",
          "[tuner]") {
  Rig rig(1, Budget(40), {.noise = 0.02}, 1, 3, 8);
  for (const double seconds : {1e-12, 1.01e-12}) {
    db::Record elsewhere;
    elsewhere.task_key = rig.memory.GetJob(rig.job_id)->tasks[0].Key();
    elsewhere.attempt_key = elsewhere.trace = absl::StrCat("elsewhere ", seconds);
    elsewhere.device_class = "faster";
    elsewhere.measurement.outcome = db::Outcome::kOk;
    elsewhere.measurement.sample_seconds = {seconds};
    REQUIRE(rig.memory.Append({elsewhere}, {}).ok());
  }
  CHECK(rig.Run().state == JobState::kDone);
  REQUIRE(rig.measurer->compared().size() == 1);
  const tuner::ComparisonRequest request = rig.measurer->compared()[0];
  CHECK(request.device_class == "simulated");
  CHECK(request.programs[0].id == rig.last_progress.tasks[0].best_record_id);
}

TEST_CASE("the program that is faster side by side is promoted, not the one with a lucky time",
          "[tuner]") {
  // Noise of 20 % in single times: the best of 60 is lucky.
  int moved = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Rig rig(1, Budget(60, seed), {.noise = 0.2, .turns = 100, .seed = seed});
    REQUIRE(rig.Run().state == JobState::kDone);
    if (rig.measurer->compared().empty()) continue;  // none was near the lucky one
    const tuner::ComparisonRequest request = rig.measurer->compared()[0];
    std::map<int64_t, double> seconds;  // without noise
    for (const db::Record& program : request.programs) {
      seconds[program.id] = rig.spaces[0]->CostSeconds(program.config);
    }
    const int64_t promoted = rig.last_progress.tasks[0].promoted;
    CHECK(seconds.at(promoted) <= seconds.at(request.programs[0].id));
    moved += promoted != request.programs[0].id;
  }
  CHECK(moved > 0);
}

TEST_CASE("a second job compares again only when it found something new", "[tuner]") {
  Rig rig(1, Budget(20, 1, "grid"), {.noise = 0.001}, 3, 2, 8);
  REQUIRE(rig.Run().state == JobState::kDone);
  const size_t comparisons = rig.memory.ListComparisons("", "", {}, 10)->size();
  const db::Job first = *rig.memory.GetJob(rig.job_id);
  db::Job second = first;
  second.id = 0;
  rig.job_id = *rig.memory.CreateJob(second);
  rig.NewMeasurer();
  REQUIRE(rig.Run().state == JobState::kDone);
  // The same programs with the same times.
  CHECK(rig.memory.ListComparisons("", "", {}, 10)->size() == comparisons);
}

TEST_CASE("of two tasks that are one workload each has its own verdict", "[tuner]") {
  Rig rig(1, Budget(40, 1, "annealing", "fixed"), {.noise = 0.02});
  rig.MakeTwins();
  CHECK(rig.Run().state == JobState::kDone);
  // The second, which is tuned later, has programs that the first had not.
  REQUIRE(rig.measurer->compared().size() == 2);
  CHECK(rig.measurer->compared()[0].task_index == 0);
  CHECK(rig.measurer->compared()[1].task_index == 1);
  CHECK(rig.Log(EventKind::kCompared).size() == 2);
}

TEST_CASE("a job whose time is over compares nothing", "[tuner]") {
  db::JobOptions options = Budget(1000);
  options.max_seconds = 0.3;
  Rig rig(1, options, {.noise = 0.02});
  CHECK(rig.Run().state == JobState::kDone);
  CHECK(rig.measurer->compared().empty());
}

TEST_CASE("a comparison that no device could make ends the task without one", "[tuner]") {
  Rig rig(2, Budget(30), {.noise = 0.02, .lost_comparisons = 1});
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kDone);
  CHECK_THAT(job.message, Catch::Contains("the fastest programs of T") &&
                              Catch::Contains("were not compared: device lost"));
  CHECK(!rig.measurer->compared().empty());
  CHECK(rig.Log(EventKind::kCompared).empty());
  CHECK(rig.memory.ListComparisons("", "", {}, 10)->empty());
  for (const tuner::TaskProgress& task : rig.last_progress.tasks) CHECK(task.promoted == 0);
}

TEST_CASE("a comparison that was given back untried is asked for again", "[tuner]") {
  Rig rig(1, Budget(30), {.noise = 0.02, .comparison_give_backs = 3}, 1, 3, 8);
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kDone);
  CHECK(job.message.empty());
  CHECK(rig.measurer->compared().size() == 4);
  CHECK(rig.Log(EventKind::kCompared).size() == 1);
  CHECK(rig.last_progress.tasks[0].promoted != 0);
}

TEST_CASE("a comparison that is given back for ever is given up", "[tuner]") {
  Rig rig(1, Budget(30), {.noise = 0.02, .comparison_give_backs = 1000}, 1, 3, 8);
  const db::Job job = rig.Run();
  CHECK(job.state == JobState::kDone);
  CHECK(job.message ==
        "the fastest programs of T0 were not compared: no device for it is connected");
  CHECK(rig.measurer->compared().size() == 9);
  CHECK(rig.Log(EventKind::kCompared).empty());
}

TEST_CASE("a job may be cancelled while it compares", "[tuner]") {
  Rig rig(1, Budget(30), {.noise = 0.02}, 1, 3, 8);
  auto runner = *rig.Runner();
  while (rig.measurer->compared().empty()) {
    REQUIRE(runner->Step());
    rig.measurer->DeliverTrial();
  }
  runner->Cancel();
  CHECK_FALSE(runner->Step());
  CHECK(runner->Progress()->state == JobState::kCancelled);
  CHECK(rig.measurer->abandoned() == 1);
  rig.measurer->DeliverComparison();
  CHECK(rig.memory.ListComparisons("", "", {}, 10)->empty());
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

TEST_CASE("max_seconds ends the job with what it has, counted over restarts", "[tuner]") {
  db::JobOptions options = Budget(1000);
  options.max_seconds = 16;
  Rig rig(1, options, {.capacity = 1});
  // Waiting for a device counts, whether there was a restart meanwhile or not.
  rig.measurer->SetOnline(false);
  CHECK((*rig.Runner())->Step());
  rig.clock.Advance(absl::Seconds(6));
  rig.NewMeasurer();
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
  CHECK(job.message.find("stopped after 16 s (max_seconds) with ") == 0);
  CHECK(rig.Records().size() >= 8);
  CHECK(rig.Records().size() <= 11);
}

TEST_CASE("without a device the job waits and says so", "[tuner]") {
  Rig rig(1, Budget(8), {});
  rig.measurer->SetOnline(false);
  auto runner = *rig.Runner();
  for (int i = 0; i < 3; ++i) CHECK(runner->Step());
  CHECK(runner->Progress()->starved);
  CHECK(runner->Progress()->message == "waits: no connected device takes synthetic");
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
  CHECK(runner->Progress()->message == "waits: no connected device takes synthetic");
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
  rig.poll = absl::InfiniteDuration();
  auto runner = *rig.Runner();
  runner->Start();
  CHECK(Eventually([&] { return rig.measurer->asked() > 0; }));
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rig.measurer->asked() == 1);
  rig.measurer->SetOnline(true);
  runner->Wake();
  CHECK(Eventually([&] { return rig.measurer->held() > 0; }));
  runner->Stop();
}

TEST_CASE("an unknown explorer is refused by name", "[tuner]") {
  Rig rig(1, Budget(4, 0, "divination"), {});
  const auto runner = rig.Runner();
  CHECK(runner.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(runner.status().message() ==
        "explorer 'divination' is not known; choose " + tuner::ExplorerNames());
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

}  // namespace
}  // namespace tessera::test
