#include "tuner/trial_budget.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/rng.h"

namespace tessera::tuner {
namespace {

db::Job JobOf(int trials, const std::vector<std::string>& targets) {
  db::Job job;
  job.options.trials_per_task = trials;
  for (const std::string& target : targets) {
    job.tasks.emplace_back();
    job.tasks.back().target = target;
  }
  return job;
}

void Propose(TrialBudget& budget, int task, int count) {
  for (int i = 0; i < count; ++i) budget.Propose(task);
}

TEST_CASE("a budget of its own is nobody else's", "[tuner]") {
  TrialBudget budget(JobOf(64, {"a", "a"}), false);
  Propose(budget, 0, 60);
  CHECK(budget.Left(0) == 4);
  CHECK(budget.Left(1) == 64);
  budget.End(0);
  CHECK(budget.Left(0) == 0);
  CHECK(budget.Left(1) == 64);
  CHECK(budget.Allotted(0) == 64);
  CHECK(budget.LeftOfJob() == 64);
  Propose(budget, 1, 64);
  CHECK(budget.IsUsedUp(1));
  CHECK(budget.LeftOfJob() == 0);
}

TEST_CASE("what no task has an equal share of goes to the first", "[tuner]") {
  db::Job job = JobOf(64, {"a", "a", "a"});
  job.options.extra_trials = 2;
  CHECK(job.Trials() == 194);
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    const TrialBudget budget(job, shared);
    CHECK(budget.total() == 194);
    CHECK(budget.LeftOfJob() == 194);
    CHECK(budget.Allotted(0) == 65);
    CHECK(budget.Allotted(1) == 65);
    CHECK(budget.Allotted(2) == 64);
    CHECK(budget.Left(0) == (shared ? 194 - 16 : 65));
  }
}

TEST_CASE("a shared budget keeps every task its warm-up", "[tuner]") {
  TrialBudget budget(JobOf(64, {"a", "a", "a"}), true);
  REQUIRE(budget.warm_up() == 8);
  CHECK(budget.Left(0) == 192 - 16);
  Propose(budget, 0, 176);
  CHECK(budget.Left(0) == 0);
  CHECK_FALSE(budget.IsUsedUp(0));  // the others may leave theirs
  CHECK(budget.Left(1) == 8);
  budget.End(2);
  CHECK(budget.Left(0) == 8);
  CHECK(budget.Left(1) == 16);
  Propose(budget, 1, 16);
  CHECK(budget.IsUsedUp(0));
  CHECK(budget.LeftOfJob() == 0);
}

TEST_CASE("tasks of other devices have a budget of their own until theirs is left over",
          "[tuner]") {
  TrialBudget budget(JobOf(64, {"fast", "slow", "fast"}), true);
  CHECK(budget.Left(1) == 64);
  Propose(budget, 0, 100);
  Propose(budget, 2, 28);
  CHECK(budget.Left(0) == 0);
  CHECK_FALSE(budget.IsUsedUp(0));
  CHECK(budget.Left(1) == 64);
  Propose(budget, 1, 20);
  budget.End(1);
  CHECK(budget.Left(0) == 44);
  CHECK(budget.Left(2) == 44);
  Propose(budget, 2, 44);
  CHECK(budget.IsUsedUp(0));
}

TEST_CASE("no order of proposals and ends overdraws a budget or leaves what somebody could have",
          "[tuner]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    std::vector<std::string> targets;
    for (int64_t t = rng.Between(1, 6); t > 0; --t) targets.push_back(rng.Chance(0.5) ? "a" : "b");
    const auto tasks = static_cast<int>(targets.size());
    const auto trials = static_cast<int>(rng.Between(0, 40));
    const bool shared = rng.Chance(0.8);
    TrialBudget budget(JobOf(trials, targets), shared);
    std::vector<int64_t> proposed(tasks);
    std::vector<bool> ended(tasks);
    int64_t sum = 0;
    while (true) {
      std::vector<int> open;
      int64_t allotted = 0;
      for (int t = 0; t < tasks; ++t) {
        if (budget.Left(t) > 0) open.push_back(t);
        REQUIRE_FALSE((ended[t] && budget.Left(t) > 0));
        allotted += budget.Allotted(t);
      }
      REQUIRE(sum <= budget.total());
      if (open.empty()) break;
      if (shared) REQUIRE(allotted == budget.total());
      const int t = open[rng.Below(open.size())];
      if (rng.Chance(0.03)) {
        budget.End(t);
        ended[t] = true;
        continue;
      }
      budget.Propose(t);
      ++proposed[t];
      ++sum;
    }
    CHECK(budget.LeftOfJob() == 0);
    for (int t = 0; t < tasks; ++t) {
      CHECK(budget.IsUsedUp(t));
      if (!ended[t]) CHECK(proposed[t] >= std::min(trials, budget.warm_up()));
      if (!shared) CHECK(proposed[t] <= trials);
    }
    bool all_ended = true;
    for (int t = 0; t < tasks; ++t) all_ended = all_ended && ended[t];
    if (shared && !all_ended) CHECK(sum == budget.total());
  }
}

TEST_CASE("the largest budgets add up", "[tuner]") {
  TrialBudget budget(JobOf(10'000'000, std::vector<std::string>(256, "a")), true);
  CHECK(budget.total() == 2'560'000'000);
  CHECK(budget.Left(7) > std::numeric_limits<int>::max());
}

}  // namespace
}  // namespace tessera::tuner
