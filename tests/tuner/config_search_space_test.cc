#include "tuner/config_search_space.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "tests/tuner/synthetic.h"
#include "tuner/explorer.h"
#include "tuner/state.h"

namespace tessera::test {
namespace {

te::Workload SmallConvolution() {
  return *te::MakeWorkload({"conv",
                            "conv2d",
                            {{"ic", "16"},
                             {"oc", "32"},
                             {"size", "14"},
                             {"k", "3"},
                             {"pad", "1"},
                             {"bias", "true"},
                             {"relu", "true"},
                             {"layout", "any"}}});
}

// The next of the log, of the first task.
db::Event ProposedEvent(const tuner::TuningState& state, const tuner::Proposal& proposal) {
  db::Event event;
  event.kind = db::EventKind::kProposed;
  event.sequence = state.next_sequence();
  event.task_index = 0;
  event.trial = state.trial_count();
  event.config = proposal.config;
  event.trace = proposal.trace;
  event.loop_hash = HashToHex(proposal.loop_hash);
  event.explorer = proposal.explorer;
  return event;
}

std::shared_ptr<const tuner::ConfigSearchSpace> Space(const te::Workload& workload) {
  const ir::Target target = *ir::X86Target("avx2");
  auto space = std::make_shared<const space::ConfigSpace>(*space::BuildSpace(workload, target, 1));
  // Rows that need no model of programs: the knobs themselves, cut or filled to one width.
  const tuner::FeatureSource knobs = {
      12, [](absl::Span<const space::Config> configs) -> absl::StatusOr<std::vector<float>> {
        std::vector<float> rows;
        for (const space::Config& config : configs) {
          for (size_t i = 0; i < 12; ++i) {
            rows.push_back(i < config.size() ? static_cast<float>(config[i]) : -1.0f);
          }
        }
        return rows;
      }};
  return std::make_shared<const tuner::ConfigSearchSpace>(std::move(space), knobs);
}

void LearnIfDue(const tuner::SearchSpace& space, const RidgeLearner& learner,
                tuner::TuningState& state) {
  const auto due = state.FitDue(0);
  if (!due) return;
  const std::string model =
      *learner.Fit({space.FeatureCount(), *space.Features(due->points), due->targets});
  db::Event ready;
  ready.kind = db::EventKind::kModelReady;
  ready.sequence = state.next_sequence();
  ready.task_index = 0;
  ready.model = Sha256Hex(model);
  ready.through_sequence = due->through_sequence;
  REQUIRE(state.Apply(ready).ok());
  state.SetRanker(0, *learner.Load(model));
}

TEST_CASE("a proposal's trace alone gives the program that its loop hash names", "[tuner]") {
  const te::Workload workload = SmallConvolution();
  const auto space = Space(workload);
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    db::Job job;
    job.tasks.resize(1);
    job.options.explorer = explorer;
    job.options.trials_per_task = 48 + (*tuner::MakeExplorer(explorer))->PlanSize();
    tuner::TuningState state = *tuner::TuningState::Create(job, {space});
    const RidgeLearner learner;
    std::set<uint64_t> programs;
    std::set<std::string> explorers;
    while (state.task(0).proposed < job.options.trials_per_task) {
      const auto proposals = state.Propose(0, 8);
      REQUIRE(proposals.ok());
      REQUIRE(proposals->size() >= 8);
      const int64_t first = state.trial_count();
      for (const tuner::Proposal& proposal : *proposals) {
        CAPTURE(proposal.trace, proposal.config);
        const auto trace = schedule::ParseTrace(proposal.trace);
        REQUIRE(trace.ok());
        const auto schedule = schedule::ApplyTrace(workload.dag, *trace);
        REQUIRE(schedule.ok());
        const auto loops = schedule::InferBounds(*schedule);
        REQUIRE(loops.ok());
        CHECK(schedule::LoopHash(*schedule, *loops) == proposal.loop_hash);
        CHECK(programs.insert(proposal.loop_hash).second);
        const auto point = space->Parse(proposal.config);
        REQUIRE(point.ok());
        CHECK(space->Config(*point) == proposal.config);
        explorers.insert(proposal.explorer);

        REQUIRE(state.Apply(ProposedEvent(state, proposal)).ok());
      }
      for (size_t i = 0; i < proposals->size(); ++i) {
        db::Event event;
        event.kind = db::EventKind::kResult;
        event.sequence = state.next_sequence();
        event.task_index = 0;
        event.trial = first + static_cast<int64_t>(i);
        event.outcome = db::Outcome::kOk;
        event.cost_seconds = 1e-3 * (1 + static_cast<double>((*proposals)[i].loop_hash % 97));
        REQUIRE(state.Apply(event).ok());
      }
      LearnIfDue(*space, learner, state);
    }
    explorers.erase("default");
    if (explorer != "random") explorers.erase("random");
    explorers.erase("family");
    explorers.erase("draft");
    if (explorer == "portfolio") {
      CHECK(explorers == std::set<std::string>{"annealing", "descent", "evolution"});
    } else {
      CHECK(explorers == std::set<std::string>{explorer});
    }
  }
}

TEST_CASE("before the first model, samples go by the draft, unless the explorer uses no model",
          "[tuner]") {
  const te::Workload workload = SmallConvolution();
  db::Job job;
  job.tasks.resize(1);
  job.tasks[0].workload = te::Print(workload);
  job.tasks[0].target = ir::ToString(*ir::X86Target("avx2"));
  job.options.trials_per_task = 96;
  const auto space = *tuner::MakeSearchSpace(job.tasks[0]);
  const auto mean = [&](absl::Span<const tuner::Point> points) {
    double sum = 0;
    for (const double seconds : space->DraftSeconds(points)) sum += std::log2(seconds);
    return sum / static_cast<double>(points.size());
  };
  Rng rng(7);
  std::vector<tuner::Point> plain;
  for (int i = 0; i < 200; ++i) plain.push_back(space->Sample(rng));
  const std::vector<float> row = *space->Features({plain[0]});
  CHECK(space->DraftSeconds({plain[0]}) == std::vector{costmodel::DraftSeconds(row)});

  for (const auto& [explorer, proposer] :
       {std::pair("annealing", "draft"), std::pair("random", "random")}) {
    CAPTURE(explorer);
    job.options.explorer = explorer;
    const tuner::TuningState state = *tuner::TuningState::Create(job, {space});
    const auto proposals = *state.Propose(0, 33);
    REQUIRE(proposals.size() == 33);
    CHECK(proposals[0].explorer == "default");
    const auto again = *state.Propose(0, 33);
    std::set<std::pair<int32_t, int32_t>> families;
    std::vector<tuner::Point> points;
    for (size_t i = 1; i < proposals.size(); ++i) {
      CHECK(proposals[i].loop_hash == again[i].loop_hash);
      if (proposals[i].explorer != proposer) {
        CHECK(proposals[i].explorer == "random");
        continue;
      }
      points.push_back(*space->Parse(proposals[i].config));
      families.insert({points.back()[0], points.back()[1]});
    }
    if (explorer == std::string("random")) CHECK(points.size() == 32);
    if (explorer != std::string("annealing")) continue;
    CHECK(points.size() > 15);  // the others are plain, 9.6 of 32 in the mean
    CHECK(points.size() < 30);
    CHECK(mean(points) < mean(plain) - 0.1);
    CHECK(families.size() == points.size());
  }
}

TEST_CASE("the draft leaves no program of a small space out", "[tuner]") {
  db::Job job;
  job.tasks.resize(1);
  job.tasks[0].workload =
      te::Print(*te::MakeWorkload({"mm", "matmul", {{"m", "2"}, {"n", "16"}, {"k", "4"}}}));
  job.tasks[0].target = ir::ToString(*ir::X86Target("avx2"));
  job.options.trials_per_task = 1000;
  job.options.explorer = "annealing";
  const auto space = *tuner::MakeSearchSpace(job.tasks[0]);
  std::set<uint64_t> all, proposed;
  std::optional<tuner::Point> point = space->Next({});
  for (; point; point = space->Next(*point)) all.insert(*space->LoopHash(*point));
  REQUIRE(all.size() > 8);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    job.options.seed = seed;
    tuner::TuningState state = *tuner::TuningState::Create(job, {space});
    proposed.clear();
    for (;;) {  // no result ever comes
      const auto proposals = *state.Propose(0, 4);
      if (proposals.empty()) break;
      for (const tuner::Proposal& proposal : proposals) {
        REQUIRE(state.Apply(ProposedEvent(state, proposal)).ok());
        if (proposal.explorer != "default") proposed.insert(proposal.loop_hash);
      }
    }
    CHECK(proposed.size() >= all.size() - 1);  // the default schedule may be one of them
  }
}

// Of a small product: some hundred programs.
db::Job PinnedJob() {
  db::Job job;
  job.tasks.resize(1);
  job.tasks[0].name = "mm";
  job.tasks[0].workload =
      te::Print(*te::MakeWorkload({"mm", "matmul", {{"m", "8"}, {"n", "64"}, {"k", "16"}}}));
  job.tasks[0].target = ir::ToString(*ir::X86Target("avx2"));
  job.options.trials_per_task = 100'000;
  job.options.pins =
      R"({"sketch":["direct"],"tile.lanes":[8],"order.outer":[[0,1]],"order.middle":[[0,1]]})";
  return job;
}

TEST_CASE("every explorer keeps to a job's pins, and the grid measures all that they leave",
          "[tuner]") {
  db::Job job = PinnedJob();
  const auto whole = *tuner::MakeSearchSpace(job.tasks[0]);
  const auto space = *tuner::MakeSearchSpace(job.tasks[0], job.options.pins);
  std::set<uint64_t> all;
  for (auto p = space->Next({}); p; p = space->Next(*p)) all.insert(*space->LoopHash(*p));
  REQUIRE(all.size() > 100);
  REQUIRE(all.size() < 20'000);
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    job.options.explorer = std::string(known.name);
    CAPTURE(job.options.explorer);
    tuner::TuningState state = *tuner::TuningState::Create(job, {space});
    const RidgeLearner learner;
    std::set<uint64_t> proposed;
    const int most = known.name == "grid" ? job.options.trials_per_task : 60;
    while (state.task(0).proposed < most) {
      const auto proposals = *state.Propose(0, 8);
      if (proposals.empty()) break;
      for (const tuner::Proposal& proposal : proposals) {
        if (proposal.explorer != "default") {
          REQUIRE(space->Parse(proposal.config).ok());
          REQUIRE(*space->Parse(proposal.config) == *whole->Parse(proposal.config));
        }
        CHECK(proposed.insert(proposal.loop_hash).second);
        db::Event event = ProposedEvent(state, proposal);
        REQUIRE(state.Apply(event).ok());
        event.kind = db::EventKind::kResult;
        event.sequence = state.next_sequence();
        event.outcome = db::Outcome::kOk;
        event.cost_seconds = 1e-3 * (1 + static_cast<double>(proposal.loop_hash % 97));
        REQUIRE(state.Apply(event).ok());
      }
      LearnIfDue(*space, learner, state);
    }
    CHECK(proposed.size() >= 60);
    if (known.name == "grid") {
      proposed.insert(all.begin(), all.end());
      CHECK(proposed.size() == static_cast<size_t>(state.task(0).proposed));
      CHECK(proposed.size() <= all.size() + 1);  // the default schedule may be none of them
    }
  }
}

TEST_CASE("a job may name its programs one by one", "[tuner]") {
  db::Job job = PinnedJob();
  const auto whole = *tuner::MakeSearchSpace(job.tasks[0]);
  Rng rng(6);
  std::vector<tuner::Point> points;
  std::string list;
  for (int i = 0; i < 20; ++i) {
    points.push_back(whole->Sample(rng));
    absl::StrAppend(&list, i == 0 ? "" : ",", whole->Config(points.back()));
  }
  const auto space =
      tuner::MakeSearchSpace(job.tasks[0], absl::StrCat("{\"configs\":[", list, "]}"));
  INFO(space.status());
  REQUIRE(space.ok());
  std::vector<tuner::Point> in_order;
  for (auto p = (*space)->Next({}); p; p = (*space)->Next(*p)) in_order.push_back(*p);
  std::set<tuner::Point> distinct(points.begin(), points.end());
  CHECK(in_order.size() == distinct.size());
  CHECK(in_order[0] == points[0]);
  CHECK(std::set<tuner::Point>(in_order.begin(), in_order.end()) == distinct);
  tuner::Point other = whole->Sample(rng);
  while (distinct.contains(other)) other = whole->Sample(rng);
  CHECK((*space)->Parse(whole->Config(points[3])).ok());
  CHECK_FALSE((*space)->Parse(whole->Config(other)).ok());

  // Searches measure these and nothing else.
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    job.options.explorer = std::string(known.name);
    CAPTURE(job.options.explorer);
    tuner::TuningState state = *tuner::TuningState::Create(job, {*space});
    std::set<std::string> proposed;
    for (;;) {
      const auto proposals = *state.Propose(0, 8);
      if (proposals.empty()) break;
      for (const tuner::Proposal& proposal : proposals) {
        REQUIRE(state.Apply(ProposedEvent(state, proposal)).ok());
        if (proposal.explorer != "default") proposed.insert(proposal.config);
      }
    }
    CHECK(proposed.size() + 1 >= distinct.size());  // the default schedule may be one of them
    for (const std::string& config : proposed) CHECK(distinct.contains(*whole->Parse(config)));
  }

  const auto refusal = [&](const std::string& pins) {
    return std::string(tuner::MakeSearchSpace(job.tasks[0], pins).status().message());
  };
  CHECK(refusal(R"({"configs":[]})") ==
        "task mm: pins: configs is []; expected a list of what it may be");
  CHECK(refusal(R"({"configs":[1]})") == "task mm: pins: configs has 1; expected objects");
  CHECK(refusal(R"({"configs":[{"sketch":"magic"}]})") ==
        "task mm: pins: number 1 of configs: config: no sketch magic");
  CHECK(refusal(R"({"configs":[{}],"sketch":["direct"]})") ==
        "task mm: pins: configs name programs; nothing can stand beside them");
}

TEST_CASE("pins that a task has not are refused with its name", "[tuner]") {
  const db::Job job = PinnedJob();
  const auto refused = tuner::MakeSearchSpace(job.tasks[0], R"({"block.X":[16]})");
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status().message().find("task mm: pins: no knob block.X; there are ") == 0);
}

TEST_CASE("what a library computes is proposed once where it is allowed", "[tuner]") {
  db::Job job;
  job.tasks.resize(1);
  job.tasks[0].workload = te::Print(*te::MakeWorkload(
      {"mm", "matmul", {{"m", "16"}, {"n", "16"}, {"k", "16"}, {"relu", "true"}}}));
  job.tasks[0].target = ir::ToString(*ir::X86Target("avx2"));
  CHECK((*tuner::MakeSearchSpace(job.tasks[0]))->External().empty());
  const auto space = *tuner::MakeSearchSpace(job.tasks[0], "", "openblas");
  REQUIRE(space->External().size() == 1);
  tuner::TuningState state = *tuner::TuningState::Create(job, {space});
  std::vector<std::string> explorers;
  for (int batch = 0; batch < 3; ++batch) {
    const auto proposals = *state.Propose(0, 1 + batch);
    for (const tuner::Proposal& proposal : proposals) {
      REQUIRE(state.Apply(ProposedEvent(state, proposal)).ok());
      explorers.push_back(proposal.explorer);
      if (proposal.explorer != "openblas") continue;
      CHECK(proposal.config.empty());
      CHECK_THAT(proposal.trace, Catch::Contains("external matmul openblas\n"));
    }
  }
  REQUIRE(explorers.size() == 6);
  CHECK(explorers[0] == "default");
  CHECK(explorers[1] == "openblas");
  CHECK(std::ranges::count(explorers, "openblas") == 1);
  job.tasks[0].workload = te::Print(SmallConvolution());
  CHECK((*tuner::MakeSearchSpace(job.tasks[0], "", "openblas"))->External().empty());
}

TEST_CASE("a task's texts make its space, or say what is wrong with them", "[tuner]") {
  db::Task task;
  task.name = "C9";
  task.workload = te::Print(SmallConvolution());
  task.target = ir::ToString(*ir::X86Target("avx2"));
  const auto space = tuner::MakeSearchSpace(task);
  REQUIRE(space.ok());
  Rng rng(1);
  const std::vector<tuner::Point> points = {(*space)->Sample(rng), (*space)->Sample(rng)};
  CHECK((*space)->Features(points)->size() == 2u * (*space)->FeatureCount());
  CHECK((*space)->Parse((*space)->Config(points[0])).value() == points[0]);

  task.target = "abacus";
  const auto refused = tuner::MakeSearchSpace(task);
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status().message().find("task C9: ") == 0);
}

TEST_CASE("what an accelerator can't run is refused with where it runs", "[tuner]") {
  db::Task task;
  task.name = "C9";
  task.workload = te::Print(SmallConvolution());
  task.target = ir::ToString(ir::ParseTarget("vta").value());
  const absl::Status refused = tuner::MakeSearchSpace(task).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(std::string(refused.message()),
             Catch::StartsWith("task C9: ") && Catch::Contains("leave it out of the job"));
}

TEST_CASE("rows are of the task's threads, whatever cores its target has", "[tuner]") {
  for (int threads : {1, 2}) {
    CAPTURE(threads);
    db::Task task;
    task.workload = te::Print(SmallConvolution());
    task.target = "x86/avx2 l1=32768 l2=1048576 threads=4";
    task.threads = threads;
    const auto space = tuner::MakeSearchSpace(task);
    REQUIRE(space.ok());
    Rng rng(1);
    for (int i = 0; i < 5; ++i) {
      const tuner::Point point = (*space)->Sample(rng);
      const auto trace = schedule::ParseTrace(*(*space)->Trace(point));
      CHECK(*(*space)->Features({point}) == *costmodel::TraceFeatures(SmallConvolution().dag,
                                                                      *ir::ParseTarget(task.target),
                                                                      threads, *trace));
    }
  }
}

TEST_CASE("a config of another space is refused", "[tuner]") {
  const auto space = Space(SmallConvolution());
  CHECK(space->Parse("{}").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(space->Parse("not json").status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::test
