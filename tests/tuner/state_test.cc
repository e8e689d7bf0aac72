#include "tuner/state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "tests/tuner/folding.h"
#include "tuner/explorer.h"
#include "tuner/model_store.h"

namespace tessera::test {
namespace {

TEST_CASE("a recorded log gives the same models and proposals bit for bit", "[tuner]") {
  for (uint64_t seed = 1; seed <= 2 * tuner::ExplorerKinds().size(); ++seed) {
    const std::string explorer(tuner::ExplorerKinds()[seed % tuner::ExplorerKinds().size()].name);
    const bool with_prior = seed > tuner::ExplorerKinds().size();
    const auto kinds = tuner::TaskSchedulerKinds();
    const std::string scheduler(kinds[seed % kinds.size()].name);
    CAPTURE(seed, explorer, scheduler, with_prior);
    const int trials = BeyondFirstPlan(explorer, 50);
    Rig rig(3, Budget(trials, seed, explorer, scheduler),
            {.capacity = 7,
             .noise = 0.1,
             .failure_rate = 0.1,
             .infrastructure_rate = 0.05,
             .give_back_rate = 0.05,
             .reorder = true,
             .seed = seed});
    rig.UseDrafts();
    if (with_prior) rig.LearnBefore(20);
    rig.Run(2);
    const std::vector<db::Event> log = rig.Log();
    const Models models = TrainAgain(rig, log);
    TuningState state = Fresh(rig);
    size_t at = 0;
    while (at < log.size()) {
      const size_t batch =
          log[at].kind == EventKind::kProposed ? CheckProposals(state, log, at) : 1;
      for (size_t i = 0; i < batch; ++i) REQUIRE(state.Apply(log[at + i]).ok());
      at += batch;
      LoadModels(rig, models, state);
    }
    CHECK(state.trial_count() == 3 * trials);
  }
}

TEST_CASE("folding a prefix at once equals having lived through it", "[tuner]") {
  for (size_t i = 0; i < 2 * tuner::ExplorerKinds().size(); ++i) {
    const std::string name(tuner::ExplorerKinds()[i / 2].name);
    const bool with_prior = i % 2 == 1;
    CAPTURE(name, with_prior);
    Rig rig(2, Budget(BeyondFirstPlan(name, 40), 5, name),
            {.capacity = 5, .noise = 0.1, .failure_rate = 0.1, .reorder = true});
    rig.UseDrafts();
    if (with_prior) rig.LearnBefore(20);
    rig.Run(2);
    const std::vector<db::Event> log = rig.Log();
    const bool drafts = std::ranges::any_of(
        log, [](const db::Event& event) { return event.explorer == tuner::kDraft; });
    const auto kind = *tuner::MakeExplorer(name);
    // What was known before makes a model at once.
    CHECK(drafts == (kind->UsesModel() && kind->PlanSize() == 0 && !with_prior));
    const Models models = TrainAgain(rig, log);
    for (size_t at = 0; at < log.size(); ++at) {
      // Batches begin where something else came before.
      if (log[at].kind != EventKind::kProposed) continue;
      if (at > 0 && log[at - 1].kind == EventKind::kProposed) continue;
      TuningState state = Fresh(rig);
      for (size_t i = 0; i < at; ++i) REQUIRE(state.Apply(log[i]).ok());
      LoadModels(rig, models, state);  // only the last model of each task is loaded
      CheckProposals(state, log, at);
    }
  }
}

TEST_CASE("which task is next, and which has ended, is the same after folding the log at once",
          "[tuner]") {
  Rig rig(3, Budget(200, 2, "annealing", "gradient"),
          {.capacity = 5, .noise = 0.003, .failure_rate = 0.05, .reorder = true}, 1, 12);
  for (const auto& space : rig.spaces) space->depth = 0;
  rig.Run(2);
  const std::vector<db::Event> log = rig.Log();
  const auto ends_early = [](const db::Event& event) {
    return event.kind == EventKind::kTaskDone && event.reason == "little left to gain";
  };
  REQUIRE(std::ranges::count_if(log, ends_early) == 3);
  TuningState lived = Fresh(rig);
  for (size_t at = 0; at < log.size(); ++at) {
    CAPTURE(at);
    if (at % 23 == 0) {
      TuningState folded = Fresh(rig);
      for (size_t i = 0; i < at; ++i) REQUIRE(folded.Apply(log[i]).ok());
      for (int t = 0; t < 3; ++t) {
        REQUIRE(folded.ExpectedGain(t) == lived.ExpectedGain(t));
        REQUIRE(folded.HasLittleLeft(t) == lived.HasLittleLeft(t));
        REQUIRE(folded.budget().Left(t) == lived.budget().Left(t));
        REQUIRE(folded.budget().Allotted(t) == lived.budget().Allotted(t));
        REQUIRE(folded.task(t).end_reason == lived.task(t).end_reason);
      }
    }
    if (ends_early(log[at])) REQUIRE(lived.HasLittleLeft(log[at].task_index));
    REQUIRE(lived.Apply(log[at]).ok());
  }
}

TEST_CASE("other seeds give other proposals", "[tuner]") {
  Rig one(1, Budget(16, 1), {});
  Rig two(1, Budget(16, 2), {});
  const auto a = *Fresh(one).Propose(0, 8);
  const auto b = *Fresh(two).Propose(0, 8);
  REQUIRE(a.size() == 8);
  CHECK(a[0].loop_hash == b[0].loop_hash);  // the baseline
  CHECK(a[0].explorer == "default");
  for (size_t i = 1; i < 8; ++i) CHECK(a[i].loop_hash != b[i].loop_hash);
}

TEST_CASE("no program is proposed twice in a task", "[tuner]") {
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(explorer, seed);
      // 3 knobs of 8 choices, the last in pairs: 256 programs, 200 of which are wanted.
      Rig rig(1, Budget(200, seed, explorer), {.capacity = 6, .reorder = true}, seed, 3, 8);
      rig.UseDrafts();
      rig.Run();
      std::set<std::string> programs;
      for (const db::Event& event : rig.Log(EventKind::kProposed)) {
        CHECK(programs.insert(event.loop_hash).second);
      }
      CHECK(programs.size() == 200);
    }
  }
}

TEST_CASE("a task ends for want of programs when all of its space were tried", "[tuner]") {
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    CAPTURE(explorer);
    // 256 programs and the default schedule.
    Rig rig(1, Budget(400, 1, explorer), {.capacity = 6}, 1, 3, 8);
    rig.Run();
    CHECK(rig.last_progress.tasks[0].finished == 257);
    CHECK(rig.last_progress.tasks[0].end_reason == "no more programs");
  }
}

TEST_CASE("a program is hashed once in a proposal", "[tuner]") {
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    CAPTURE(explorer);
    Rig rig(1, Budget(200, 1, explorer), {.capacity = 1});
    TuningState state = Fresh(rig);
    const auto proposals = *state.Propose(0, 64);
    for (const auto& proposal : proposals) {
      REQUIRE(state.Apply(Proposed(state, proposal)).ok());
    }
    for (const int64_t trial : state.PendingTrials(0)) {
      const double cost = rig.spaces[0]->CostSeconds(state.pending(trial)->config);
      REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, cost)).ok());
    }
    if ((*tuner::MakeExplorer(explorer))->UsesModel()) {
      const tuner::FitInput input = *state.FitDue(0);
      const std::string bytes = *rig.learner->Fit(
          {rig.spaces[0]->FeatureCount(), *rig.spaces[0]->Features(input.points), input.targets});
      db::Event ready;
      ready.sequence = state.next_sequence();
      ready.kind = EventKind::kModelReady;
      ready.task_index = 0;
      ready.model = "digest";
      ready.through_sequence = input.through_sequence;
      REQUIRE(state.Apply(ready).ok());
      state.SetRanker(0, *rig.learner->Load(bytes));
    }
    SyntheticSpace::Moves moves;
    rig.spaces[0]->moves = &moves;
    REQUIRE(state.Propose(0, 8)->size() >= 8);
    std::ranges::sort(moves.hashed);
    const auto again = std::ranges::adjacent_find(moves.hashed);
    // The grid looks for new programs by itself.
    CHECK((again == moves.hashed.end() || explorer == "grid"));
  }
}

TEST_CASE("infrastructure failures don't teach, candidate failures do", "[tuner]") {
  Rig rig(1, Budget(64), {});
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(0, 20);
  for (const auto& proposal : proposals) REQUIRE(state.Apply(Proposed(state, proposal)).ok());
  for (int64_t trial = 0; trial < 8; ++trial) {
    REQUIRE(state.pending(trial) != nullptr);
    REQUIRE(state.Apply(Result(state, trial, Outcome::kInfrastructure)).ok());
    CHECK(state.pending(trial) == nullptr);
  }
  CHECK(state.task(0).finished == 8);
  CHECK(state.task(0).taught == 0);
  CHECK(state.task(0).outcomes[static_cast<int>(Outcome::kInfrastructure)] == 8);
  CHECK_FALSE(state.FitDue(0).has_value());

  for (int64_t trial = 8; trial < 12; ++trial) {
    REQUIRE(state.Apply(Result(state, trial, Outcome::kWrongAnswer)).ok());
  }
  for (int64_t trial = 12; trial < 16; ++trial) {
    REQUIRE(
        state.Apply(Result(state, trial, Outcome::kOk, 1e-3 * static_cast<double>(trial))).ok());
  }
  const auto fit = state.FitDue(0);
  REQUIRE(fit.has_value());
  CHECK(fit->points.size() == 8);
  CHECK(fit->through_sequence == state.next_sequence() - 1);
  CHECK(fit->targets == std::vector<float>{0, 0, 0, 0, 1, 12.f / 13, 12.f / 14, 12.f / 15});
  CHECK(state.task(0).best_trial == 12);
}

TEST_CASE("refits come as results grow by a share, so that their cost stays linear", "[tuner]") {
  Rig rig(1, Budget(2000), {.capacity = 4});
  rig.Run(4);
  const auto fits = static_cast<int>(rig.Log(EventKind::kModelReady).size());
  CHECK(fits > 15);
  CHECK(fits < 40);
}

TEST_CASE("a model learns from the events up to its sequence number only", "[tuner]") {
  Rig rig(1, Budget(200), {});
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(0, 40);
  for (const auto& proposal : proposals) {
    REQUIRE(state.Apply(Proposed(state, proposal)).ok());
  }
  for (int64_t trial = 0; trial < 8; ++trial) {
    REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, 1e-3)).ok());
  }
  const int64_t through = state.next_sequence() - 1;
  for (int64_t trial = 8; trial < 18; ++trial) {
    REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, 1e-3)).ok());
  }
  db::Event ready;
  ready.sequence = state.next_sequence();
  ready.kind = EventKind::kModelReady;
  ready.task_index = 0;
  ready.model = "digest";
  ready.through_sequence = through;
  REQUIRE(state.Apply(ready).ok());
  CHECK(state.MissingModel(0) == "digest");
  CHECK(state.Propose(0, 1).status().code() == absl::StatusCode::kFailedPrecondition);
  // Ten results came while it was trained: the next fit is due at once.
  CHECK(state.FitDue(0).has_value());
}

TEST_CASE("a log that doesn't continue is refused and changes nothing", "[tuner]") {
  Rig rig(1, Budget(16), {});
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(0, 2);
  REQUIRE(state.Apply(Proposed(state, proposals[0])).ok());

  db::Event skipped = Proposed(state, proposals[1]);
  ++skipped.sequence;
  CHECK(state.Apply(skipped).message() == "event 3 of job 1: expected sequence 2");
  db::Event wrong_task = Proposed(state, proposals[1], 4);
  CHECK(state.Apply(wrong_task).message() == "event 2 of job 1: task 4 is not in [0, 1)");
  db::Event wrong_trial = Proposed(state, proposals[1]);
  wrong_trial.trial = 5;
  CHECK(state.Apply(wrong_trial).code() == absl::StatusCode::kDataLoss);
  CHECK(state.Apply(Result(state, 1, Outcome::kOk, 1)).message() ==
        "event 2 of job 1: trial 1 was never proposed");
  CHECK(state.Apply(Result(state, 0, Outcome::kOk, -1)).code() == absl::StatusCode::kDataLoss);
  CHECK(state.next_sequence() == 2);
  REQUIRE(state.Apply(Result(state, 0, Outcome::kOk, 1)).ok());
  CHECK(state.Apply(Result(state, 0, Outcome::kOk, 1)).message() ==
        "event 3 of job 1: trial 0 already has a result");
}

TEST_CASE("configs of another space are measured by their trace and teach nothing", "[tuner]") {
  Rig rig(1, Budget(16), {});
  TuningState state = Fresh(rig);
  REQUIRE(state.Apply(Proposed(state, {"[1,2]", "an old trace", 42, "annealing"})).ok());
  CHECK(state.pending(0)->trace == "an old trace");
  REQUIRE(state.Apply(Result(state, 0, Outcome::kOk, 1e-6)).ok());
  CHECK(state.pending(0) == nullptr);
  CHECK(state.task(0).taught == 0);
  CHECK(state.task(0).best_trial == 0);
  CHECK(state.Propose(0, 8)->size() == 8);
}

TEST_CASE("models are trained on a bounded number of examples", "[tuner]") {
  Rig rig(1, Budget(1000), {});
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces(rig.spaces.begin(),
                                                                rig.spaces.end());
  tuner::SearchOptions options;
  options.examples = {.newest = 20, .fastest = 10, .sampled = 10};
  TuningState state = *TuningState::Create(*rig.memory.GetJob(rig.job_id), spaces, options);
  const auto proposals = *state.Propose(0, 200);
  REQUIRE(proposals.size() == 200);
  for (const auto& proposal : proposals) REQUIRE(state.Apply(Proposed(state, proposal)).ok());
  for (int64_t trial = 0; trial < 200; ++trial) {
    const double cost = rig.spaces[0]->CostSeconds(state.pending(trial)->config);
    REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, cost)).ok());
  }
  const auto fit = state.FitDue(0);
  REQUIRE(fit.has_value());
  CHECK(fit->points.size() > 30);
  CHECK(fit->points.size() <= 40);
  CHECK(std::count(fit->targets.begin(), fit->targets.end(), 1.f) == 1);  // the fastest is one
}

TEST_CASE("a finished trial leaves less than 50 bytes behind", "[tuner]") {
  Rig rig(1, Budget(20'100), {});
  rig.spaces[0]->padding = std::string(4096, '.');
  TuningState state = Fresh(rig);
  std::map<int, size_t> bytes;
  while (state.task(0).proposed < 20'000) {
    const auto proposals = *state.Propose(0, 16);
    for (const auto& proposal : proposals) REQUIRE(state.Apply(Proposed(state, proposal)).ok());
    for (int64_t trial : state.PendingTrials(0)) {
      const double cost = rig.spaces[0]->CostSeconds(state.pending(trial)->config);
      REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, cost)).ok());
    }
    if (state.task(0).taught % 1000 < 16) {
      db::Event ready;  // as a runner would; what is not trained on yet is kept by number
      ready.sequence = state.next_sequence();
      ready.kind = EventKind::kModelReady;
      ready.task_index = 0;
      ready.model = "digest";
      ready.through_sequence = ready.sequence - 1;
      REQUIRE(state.Apply(ready).ok());
      state.SetRanker(0, nullptr);
    }
    bytes[state.task(0).proposed] = state.MemoryBytes();
  }
  CHECK(bytes.lower_bound(1000)->second < 1000 * 200);
  for (const auto& [trials, held] : bytes) {
    CAPTURE(trials);
    CHECK(held < size_t{512} * 1024 + 50 * static_cast<size_t>(trials));
  }
}

TEST_CASE("a task that is done leaves its summary", "[tuner]") {
  Rig rig(2, Budget(300), {});
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(0, 300);
  for (const auto& proposal : proposals) REQUIRE(state.Apply(Proposed(state, proposal)).ok());
  for (int64_t trial = 0; trial < 299; ++trial) {
    REQUIRE(state.Apply(Result(state, trial, Outcome::kOk, 1)).ok());
  }
  const size_t before = state.MemoryBytes();
  db::Event done;
  done.job_id = 1;
  done.sequence = state.next_sequence();
  done.kind = EventKind::kTaskDone;
  done.task_index = 0;
  REQUIRE(state.Apply(done).ok());
  CHECK(state.MemoryBytes() < before - 20'000);
  CHECK(state.task(0).finished == 299);
  CHECK(state.task(0).best_seconds == 1);
  CHECK(state.Propose(0, 1)->empty());
  CHECK_FALSE(state.FitDue(0).has_value());
  CHECK(state.Propose(1, 8)->size() == 8);
  // What was under way may still come in; new proposals may not.
  REQUIRE(state.Apply(Result(state, 299, Outcome::kOk, 0.5)).ok());
  CHECK(state.task(0).best_seconds == 0.5);
  CHECK(state.Apply(Proposed(state, proposals[0])).message() ==
        absl::StrCat("event ", state.next_sequence(),
                     " of job 1: proposes for task 0, which is done"));
}

TEST_CASE("a comparison leaves the promoted record and costs no trial", "[tuner]") {
  Rig rig(2, Budget(40), {});
  TuningState state = Fresh(rig);
  const auto proposals = *state.Propose(1, 4);
  for (const auto& proposal : proposals) {
    REQUIRE(state.Apply(Proposed(state, proposal, 1)).ok());
  }
  const auto before = *state.Propose(1, 8);
  db::Event compared;
  compared.job_id = 1;
  compared.sequence = state.next_sequence();
  compared.kind = EventKind::kCompared;
  compared.task_index = 1;
  compared.record_id = 812;
  REQUIRE(state.Apply(compared).ok());
  CHECK(state.task(1).promoted == 812);
  CHECK(state.task(0).promoted == 0);
  CHECK(state.task(1).proposed == 4);
  CHECK(state.task(1).finished == 0);
  const auto after = *state.Propose(1, 8);
  REQUIRE(after.size() == before.size());
  for (size_t i = 0; i < after.size(); ++i) CHECK(after[i].config == before[i].config);
  db::Event done = compared;
  done.sequence = state.next_sequence();
  done.kind = EventKind::kTaskDone;
  REQUIRE(state.Apply(done).ok());
  CHECK(state.task(1).promoted == 812);
  compared.sequence = state.next_sequence();
  compared.task_index = 2;
  CHECK(absl::IsDataLoss(state.Apply(compared)));
}

}  // namespace
}  // namespace tessera::test
