#include "tuner/task_scheduler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "tests/tuner/rig.h"

namespace tessera::test {
namespace {

using db::EventKind;
using db::JobState;

int Next(const std::string& scheduler, const std::vector<tuner::TaskLoad>& loads) {
  return (*tuner::MakeTaskScheduler(scheduler))->Next(loads);
}

// Proposals of each task.
std::vector<int> Proposed(Rig& rig) {
  std::vector<int> proposed(rig.spaces.size());
  for (const db::Event& event : rig.Log(EventKind::kProposed)) ++proposed[event.task_index];
  return proposed;
}

TEST_CASE("schedulers are known by name", "[tuner]") {
  CHECK(tuner::TaskSchedulerNames() == "fair, fixed or gradient");
  for (const tuner::TaskSchedulerKind& kind : tuner::TaskSchedulerKinds()) {
    CHECK((*tuner::MakeTaskScheduler(kind.name))->Next({}) == -1);
  }
  Rig rig(1, Budget(4, 0, "random", "tarot"), {});
  const auto runner = rig.Runner();
  CHECK(runner.status() == absl::InvalidArgumentError(
                               "scheduler 'tarot' is not known; choose fair, fixed or gradient"));
}

TEST_CASE("the fair scheduler gives the next trial to the task with the largest share left",
          "[tuner]") {
  CHECK(Next("fair", {{.task_index = 4, .budget = 10, .handed_out = 3}}) == 4);
  CHECK(Next("fair", {{.task_index = 0, .budget = 10, .handed_out = 3},
                      {.task_index = 1, .budget = 10, .handed_out = 2}}) == 1);
  CHECK(Next("fair", {{.task_index = 0, .budget = 10, .handed_out = 2},
                      {.task_index = 1, .budget = 10, .handed_out = 2}}) == 0);
  CHECK(Next("fair", {{.task_index = 0, .budget = 100, .handed_out = 50},
                      {.task_index = 1, .budget = 10, .handed_out = 4}}) == 1);
}

TEST_CASE("with the fair scheduler tasks advance together", "[tuner]") {
  Rig rig(5, Budget(20), {.capacity = 3});
  auto runner = *rig.Runner();
  while (runner->Step()) {
    rig.measurer->Deliver();
    int low = 20;
    int high = 0;
    for (const tuner::TaskProgress& task : runner->Progress()->tasks) {
      low = std::min(low, task.finished + task.in_flight);
      high = std::max(high, task.finished + task.in_flight);
    }
    REQUIRE(high - low <= 1);
  }
}

TEST_CASE("with the fixed scheduler a task begins when the one before has handed out its trials",
          "[tuner]") {
  Rig rig(3, Budget(20, 0, "annealing", "fixed"), {.capacity = 4});
  CHECK(rig.Run().state == JobState::kDone);
  std::vector<int> order;
  for (const tuner::TrialRequest& request : rig.measurer->started()) {
    order.push_back(request.task_index);
  }
  CHECK(order.size() == 60);
  CHECK(std::ranges::is_sorted(order));
  CHECK(Proposed(rig) == std::vector<int>{20, 20, 20});
}

TEST_CASE("the gradient scheduler gives the next trial to the task with the largest gain",
          "[tuner]") {
  CHECK(Next("gradient", {{.task_index = 0, .gain = 1}, {.task_index = 1, .gain = 2}}) == 1);
  // What was proposed is measured first.
  CHECK(Next("gradient", {{.task_index = 0, .ready = 1}, {.task_index = 1, .gain = 2}}) == 0);
  // Of tasks that have yet to show what they can, the one that had least.
  CHECK(Next("gradient", {{.task_index = 0, .gain = INFINITY, .proposed = 8},
                          {.task_index = 1, .gain = INFINITY, .proposed = 0},
                          {.task_index = 2, .gain = 5}}) == 1);
  CHECK(Next("gradient", {{.task_index = 0}, {.task_index = 1}}) == 0);
}

TEST_CASE("a job of one task is the same with every scheduler", "[tuner]") {
  for (const std::string explorer : {"annealing", "portfolio"}) {
    std::vector<std::vector<db::Event>> logs;
    for (const tuner::TaskSchedulerKind& kind : tuner::TaskSchedulerKinds()) {
      Rig rig(1, Budget(70, 3, explorer, std::string(kind.name)),
              {.capacity = 4, .noise = 0.05, .failure_rate = 0.05});
      rig.spaces[0]->depth = 0;  // there is nothing to gain, but nobody to leave the trials to
      CHECK(rig.Run(2).message.empty());
      logs.push_back(rig.Log());
      CHECK(rig.last_progress.tasks[0].budget == 70);
    }
    CHECK(std::ranges::count(logs[0], EventKind::kResult, &db::Event::kind) == 70);
    CHECK(logs[0] == logs[1]);
    CHECK(logs[0] == logs[2]);
  }
}

TEST_CASE("the gradient goes to the task that still improves", "[tuner]") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    for (const int flat : {0, 1}) {
      CAPTURE(seed, flat);
      Rig rig(2, Budget(64, seed, "annealing", "gradient"),
              {.capacity = 4, .noise = 0.01, .reorder = true, .seed = seed}, 10 * seed, 12);
      rig.spaces[flat]->depth = 0;
      CHECK(rig.Run(2).state == JobState::kDone);
      const std::vector<int> proposed = Proposed(rig);
      CHECK(proposed[flat] >= 8);
      CHECK(proposed[1 - flat] - 8 >= 0.7 * (proposed[0] + proposed[1] - 16));
      CHECK(proposed[0] + proposed[1] <= 128);
    }
  }
}

TEST_CASE("the gradient heeds weights", "[tuner]") {
  int heavy = 0, light = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    for (const bool swapped : {false, true}) {
      Rig rig(2, Budget(64, seed, "annealing", "gradient"), {.capacity = 4, .seed = seed},
              100 * seed, 12, SyntheticSpace::kChoices,
              swapped ? std::vector<double>{8, 1} : std::vector<double>{1, 8});
      rig.Run(2);
      heavy += Proposed(rig)[swapped ? 0 : 1];
      light += Proposed(rig)[swapped ? 1 : 0];
    }
  }
  CAPTURE(heavy, light);
  CHECK(2 * heavy > 3 * light);
}

TEST_CASE("every task has its warm-up, however little there is and however much others promise",
          "[tuner]") {
  for (const int trials : {3, 8, 12, 20}) {
    CAPTURE(trials);
    std::vector<double> weights(7, 1e-9);
    weights[3] = 1e9;
    Rig rig(7, Budget(trials, 1, "annealing", "gradient"), {.capacity = 5}, 1, 10, 16, weights);
    CHECK(rig.Run(3).state == JobState::kDone);
    const std::vector<int> proposed = Proposed(rig);
    CHECK(*std::ranges::min_element(proposed) == std::min(trials, 8));
    CHECK(proposed[3] == *std::ranges::max_element(proposed));
  }
}

TEST_CASE("what a small budget has beyond a trial each goes where most is to be gained",
          "[tuner]") {
  for (const int heavy : {0, 3, 6}) {
    CAPTURE(heavy);
    std::vector<double> weights(7, 1e-3);
    weights[heavy] = 1e3;
    db::JobOptions options = Budget(1, 1, "annealing", "gradient");
    options.extra_trials = 6;
    Rig rig(7, options, {.capacity = 1}, 1, 10, 16, weights);
    CHECK(rig.Run(3).state == JobState::kDone);
    std::vector<int> expected(7, 1);
    expected[heavy] = 7;
    CHECK(Proposed(rig) == expected);
  }
}

TEST_CASE("what a task leaves whose space has no more programs goes to the others", "[tuner]") {
  Rig rig(3, Budget(24, 1, "annealing", "gradient"), {.capacity = 4});
  // Two knobs of four choices, the last in pairs: 8 programs, and the baseline.
  rig.spaces[1] = std::make_shared<SyntheticSpace>(3, 2, 4);
  CHECK(rig.Run().state == JobState::kDone);
  const std::vector<int> proposed = Proposed(rig);
  CHECK(proposed[1] == 9);
  CHECK(proposed[0] + proposed[2] == 72 - 9);
  CHECK(rig.last_progress.tasks[1].end_reason == "no more programs");
  CHECK(rig.last_progress.tasks[0].end_reason.empty());
  const std::vector<db::Event> ends = rig.Log(EventKind::kTaskDone);
  REQUIRE(ends.size() == 3);
  CHECK(ends[0].task_index == 1);
  CHECK(ends[0].reason == "no more programs");
}

TEST_CASE("a task that never succeeds has no more than its share", "[tuner]") {
  Rig rig(2, Budget(64, 1, "annealing", "gradient"), {});
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces(rig.spaces.begin(),
                                                                rig.spaces.end());
  tuner::TuningState state = *tuner::TuningState::Create(*rig.memory.GetJob(rig.job_id), spaces);
  while (state.budget().LeftOfJob() > 0) {
    std::vector<tuner::TaskLoad> loads;
    for (int t = 0; t < 2; ++t) {
      if (state.budget().Left(t) == 0) continue;
      loads.push_back(
          {.task_index = t, .gain = state.ExpectedGain(t), .proposed = state.task(t).proposed});
    }
    const int t = state.scheduler().Next(loads);
    const std::vector<tuner::Proposal> proposals = *state.Propose(t, 8);
    REQUIRE_FALSE(proposals.empty());
    for (const tuner::Proposal& proposal : proposals) {
      db::Event event;
      event.sequence = state.next_sequence();
      event.kind = EventKind::kProposed;
      event.trial = state.trial_count();
      event.task_index = t;
      event.config = proposal.config;
      event.loop_hash = HashToHex(proposal.loop_hash);
      REQUIRE(state.Apply(event).ok());
      event.kind = EventKind::kResult;
      ++event.sequence;
      event.outcome = t == 0 ? db::Outcome::kRunError : db::Outcome::kOk;
      event.cost_seconds = t == 0 ? 0 : rig.spaces[t]->CostSeconds(event.config);
      REQUIRE(state.Apply(event).ok());
    }
  }
  CHECK(state.task(0).proposed + state.task(1).proposed == 128);
  CHECK(state.task(0).proposed >= 56);
  CHECK(state.task(0).proposed <= 72);
}

TEST_CASE("a job ends when little is left to gain, and says so", "[tuner]") {
  Rig rig(3, Budget(400, 1, "annealing", "gradient"), {.capacity = 4, .noise = 0.002}, 1, 12);
  for (const auto& space : rig.spaces) space->depth = 0;
  const db::Job job = rig.Run(3);
  CHECK(job.state == JobState::kDone);
  const auto finished = rig.Log(EventKind::kResult).size();
  CHECK(finished < 900);
  CHECK(job.message ==
        absl::StrCat(finished, " of 1200 trials: little was left to gain in 3 of 3 tasks"));
  for (const tuner::TaskProgress& task : rig.last_progress.tasks) {
    CHECK(task.end_reason == "little left to gain");
    CHECK(task.budget == task.finished);
  }
  // With a budget of its own each task uses it up.
  for (const std::string scheduler : {"fair", "fixed"}) {
    Rig other(3, Budget(100, 1, "annealing", scheduler), {.capacity = 4, .noise = 0.003}, 1, 12);
    for (const auto& space : other.spaces) space->depth = 0;
    CHECK(other.Run(3).message.empty());
    CHECK(other.Log(EventKind::kResult).size() == 300);
  }
}

TEST_CASE("what tasks may have adds up to the job's trials at every step", "[tuner]") {
  Rig rig(4, Budget(30, 2, "annealing", "gradient"), {.capacity = 3, .noise = 0.02}, 1, 12);
  rig.spaces[2]->depth = 0;
  auto runner = *rig.Runner();
  while (runner->Step()) {
    int64_t budget = 0;
    for (const tuner::TaskProgress& task : runner->Progress()->tasks) {
      REQUIRE(task.budget >= task.proposed);
      budget += task.budget;
    }
    REQUIRE(budget == 120);
    rig.measurer->Deliver();
  }
}

}  // namespace
}  // namespace tessera::test
