// What a job knows before its first trial, in the fold of its log.

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "tests/tuner/folding.h"
#include "tuner/explorer.h"

namespace tessera::test {
namespace {

TEST_CASE("what was measured before is not measured again, and is learned from at once",
          "[tuner]") {
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    CAPTURE(explorer);
    Rig rig(1, Budget(60, 3, explorer), {.capacity = 4}, 1, 3, 8);  // of 256 programs
    rig.LearnBefore(40);
    const TuningState state = Fresh(rig);
    CHECK(state.task(0).known == 40);
    CHECK(state.task(0).finished == 0);
    const auto due = state.FitDue(0);
    CHECK(due.has_value() == (*tuner::MakeExplorer(explorer))->UsesModel());
    if (due) {
      CHECK(due->through_sequence == 0);
      CHECK(due->points.size() == 40);
      CHECK(due->known == 40);
      CHECK(due->targets[1] == 0);  // it failed
      CHECK(*std::max_element(due->targets.begin(), due->targets.end()) == 1);
    }
    rig.Run();
    CHECK(rig.learner->known_seen == (due ? 40 : 0));
    std::set<std::string> programs;
    for (const tuner::KnownProgram& program : rig.prior->tasks[0].known) {
      programs.insert(HashToHex(program.loop_hash));
    }
    const size_t before = programs.size();
    for (const db::Event& event : rig.Log(EventKind::kProposed)) {
      CHECK(programs.insert(event.loop_hash).second);
    }
    CHECK(programs.size() == before + 60);
  }
}

TEST_CASE("a job with a prior begins with the default, programs of near tasks, and the draft's",
          "[tuner]") {
  for (const std::string explorer : {"annealing", "random"}) {
    CAPTURE(explorer);
    Rig rig(1, Budget(200, 3, explorer), {});
    rig.LearnBefore(0);
    rig.UseDrafts();
    TuningState state = Fresh(rig);
    const auto first = *state.Propose(0, 16);
    REQUIRE(first.size() == 16);
    CHECK(first[0].explorer == "default");
    for (const tuner::Proposal& proposal : first) {
      REQUIRE(state.Apply(Proposed(state, proposal)).ok());
    }
    std::map<std::string, int> by;
    const auto then = *state.Propose(0, 100);
    for (const tuner::Proposal& proposal : then) ++by[proposal.explorer];
    if (explorer == "random") {
      CHECK(by["random"] == 100);
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      CHECK(first[1 + i].explorer == tuner::kNearTask);
      CHECK(first[1 + i].config == rig.prior->tasks[0].first_configs[i]);
    }
    CHECK(std::ranges::count(first, tuner::kDraft, &tuner::Proposal::explorer) > 4);
    CHECK(std::ranges::count(first, "annealing", &tuner::Proposal::explorer) == 0);
    // Then the model of other tasks decides.
    CHECK(by["annealing"] > 80);
    CHECK(by[std::string(tuner::kDraft)] > 0);
  }
}

TEST_CASE("programs of near tasks leave the draft its first programs", "[tuner]") {
  Rig rig(1, Budget(200), {});
  rig.LearnBefore(0);
  rig.UseDrafts();
  TuningState state = Fresh(rig);
  std::vector<std::string> by;  // in batches as a job makes them
  for (int batch = 0; batch < 4; ++batch) {
    const auto proposals = *state.Propose(0, 4);
    for (const tuner::Proposal& proposal : proposals) {
      by.push_back(proposal.explorer);
      REQUIRE(state.Apply(Proposed(state, proposal)).ok());
    }
  }
  REQUIRE(by.size() == 16);
  // The default, three of near tasks; then what the draft prefers, plain samples among it.
  for (int i = 4; i < 8; ++i) CHECK(by[i] != "annealing");
  CHECK(std::ranges::count(by, "annealing") > 4);
}

TEST_CASE("a fit tells what was known before the job from what the job measured", "[tuner]") {
  for (const bool few : {false, true}) {
    CAPTURE(few);
    Rig rig(1, Budget(200), {});
    rig.LearnBefore(40);
    tuner::SearchOptions options;
    if (few) options.examples = {.newest = 20, .fastest = 10, .sampled = 10};
    TuningState state = *TuningState::Create(*rig.memory.GetJob(rig.job_id), {rig.spaces[0]},
                                             options, {rig.prior, rig.learner->Prior()});
    const auto proposals = *state.Propose(0, 30);
    for (const auto& proposal : proposals) {
      REQUIRE(state.Apply(Proposed(state, proposal)).ok());
    }
    for (const int64_t trial : state.PendingTrials(0)) {
      const double cost = rig.spaces[0]->CostSeconds(state.pending(trial)->config);
      REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, cost)).ok());
    }
    std::set<std::string> before;
    for (const tuner::KnownProgram& known : rig.prior->tasks[0].known) before.insert(known.config);
    const auto fit = state.FitDue(0);
    REQUIRE(fit.has_value());
    CHECK(fit->points.size() == fit->targets.size());
    CHECK(fit->known > 0);
    CHECK((few ? fit->known < 40 : fit->known == 40));
    for (size_t i = 0; i < fit->points.size(); ++i) {
      CAPTURE(i);
      CHECK(before.contains(rig.spaces[0]->Config(fit->points[i])) == (i < fit->known));
    }
  }
}

TEST_CASE("a model that is lost is not replaced by the one that the job began with", "[tuner]") {
  Rig rig(1, Budget(200), {});
  rig.LearnBefore(0);
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(0, 30);
  for (const auto& proposal : proposals) {
    REQUIRE(state.Apply(Proposed(state, proposal)).ok());
  }
  for (const int64_t trial : state.PendingTrials(0)) {
    REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, 1e-3)).ok());
  }
  const auto of_model = [&] {
    const auto next = *state.Propose(0, 32);
    return std::ranges::count(next, "annealing", &tuner::Proposal::explorer);
  };
  CHECK(of_model() > 0);
  // Nothing was lost so far.
  state.SetRanker(0, nullptr);
  CHECK(of_model() > 0);
  db::Event ready;
  ready.sequence = state.next_sequence();
  ready.kind = EventKind::kModelReady;
  ready.task_index = 0;
  ready.model = "digest";
  ready.through_sequence = ready.sequence - 1;
  REQUIRE(state.Apply(ready).ok());
  state.SetRanker(0, nullptr);
  CHECK(of_model() == 0);
  CHECK(state.FitDue(0).has_value());
}

TEST_CASE("the default schedule is the yardstick of each job, unless its program is known",
          "[tuner]") {
  Rig rig(1, Budget(64), {});
  rig.LearnBefore(40);
  CHECK(Fresh(rig).Propose(0, 8)->at(0).explorer == "default");
  SyntheticSpace& space = *rig.spaces[0];
  space.baseline = tuner::Point(11, 3);
  CHECK(Fresh(rig).Propose(0, 8)->at(0).explorer == "default");
  space.baseline = *space.Parse(rig.prior->tasks[0].known[7].config);
  const auto proposals = *Fresh(rig).Propose(0, 8);
  REQUIRE(proposals.size() == 8);
  for (const auto& proposal : proposals) {
    CHECK(proposal.explorer != "default");
    CHECK(proposal.loop_hash != *space.LoopHash(space.baseline));
  }
}

TEST_CASE("what was searched before leaves less to gain", "[tuner]") {
  Rig rig(2, Budget(200, 1, "annealing", "gradient"), {});
  auto before = std::make_shared<tuner::Prior>();
  before->tasks.resize(2);
  Rng rng(9);
  for (int i = 0; i < 300; ++i) {
    // They failed: what there is to gain upon is the same.
    const tuner::Point point = rig.spaces[0]->Sample(rng);
    before->tasks[0].known.push_back({*rig.spaces[0]->LoopHash(point), rig.spaces[0]->Config(point),
                                      std::numeric_limits<double>::infinity()});
  }
  rig.prior = before;
  TuningState state = Fresh(rig);
  std::vector<int64_t> trials[2];
  for (const int task : {0, 1}) {
    const auto proposals = *state.Propose(task, 24);
    for (const auto& proposal : proposals) {
      trials[task].push_back(state.trial_count());
      REQUIRE(state.Apply(Proposed(state, proposal, task)).ok());
    }
    double cost = 1e-3;
    for (const int64_t trial : trials[task]) {
      REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, cost *= 0.99, task)).ok());
    }
  }
  CHECK(state.ExpectedGain(0) > 0);
  CHECK(state.ExpectedGain(0) < state.ExpectedGain(1) / 4);
}

TEST_CASE("a small budget is not spent on near tasks", "[tuner]") {
  Rig rig(1, Budget(8), {});
  rig.LearnBefore(0);
  const auto proposals = *Fresh(rig).Propose(0, 8);
  CHECK(std::ranges::count(proposals, tuner::kNearTask, &tuner::Proposal::explorer) == 2);
}

TEST_CASE("refits count the job's own results, however much was known", "[tuner]") {
  Rig rig(1, Budget(64, 1), {.capacity = 4});
  rig.LearnBefore(400);
  rig.Run(4);
  CHECK(rig.Log(EventKind::kModelReady).size() >= 4);
}

TEST_CASE("a prior of another number of tasks is refused", "[tuner]") {
  Rig rig(2, Budget(8), {});
  const auto prior = std::make_shared<tuner::Prior>();
  prior->tasks.resize(3);
  CHECK(TuningState::Create(*rig.memory.GetJob(rig.job_id), {rig.spaces[0], rig.spaces[1]}, {},
                            {prior, nullptr})
            .status()
            .message() == "job 1 has 2 tasks but its prior has 3");
}

TEST_CASE("known programs that are no longer of the space are only not proposed", "[tuner]") {
  Rig rig(1, Budget(16), {});
  const auto prior = std::make_shared<tuner::Prior>();
  prior->tasks = {{{"[1]"}, {{42, "[1,2]", 1e-3}}}};
  rig.prior = prior;
  const TuningState state = Fresh(rig);
  CHECK(state.task(0).known == 0);
  CHECK(state.task(0).taught == 0);
  const auto proposals = *state.Propose(0, 8);
  REQUIRE(proposals.size() == 8);
  for (const auto& proposal : proposals) CHECK(proposal.explorer != tuner::kNearTask);
}

}  // namespace
}  // namespace tessera::test
