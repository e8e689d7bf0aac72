#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/view.h"
#include "tests/support/source_file.h"
#include "tests/tuner/rig.h"
#include "tuner/examples.h"
#include "tuner/explorer.h"
#include "tuner/proposer.h"

namespace tessera::test {
namespace {

TEST_CASE("each known explorer answers to its name", "[tuner]") {
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    CHECK((*tuner::MakeExplorer(known.name))->Name() == known.name);
  }
}

TEST_CASE("explorers are listed in order, and others refused with the list", "[tuner]") {
  CHECK(std::ranges::is_sorted(tuner::ExplorerKinds(), {}, &tuner::ExplorerKind::name));
  CHECK(tuner::ExplorerNames() ==
        "annealing, autotvm, descent, evolution, grid, portfolio, random or rl");
  const auto refused = tuner::MakeExplorer("oracle").status();
  CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
  CHECK(StdView(refused.message()) ==
        "explorer 'oracle' is not known; choose " + tuner::ExplorerNames());
}

TEST_CASE("the documentation has every known explorer", "[tuner]") {
  const std::string text = ReadSourceFile("docs/search.md");
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string row =
        absl::StrCat("| `", AbslView(known.name), "` | ", AbslView(known.summary));
    CAPTURE(row);
    CHECK(text.find(row) != std::string::npos);
  }
}

TEST_CASE("the grid proposes every program once, in order", "[tuner]") {
  // 2 knobs of 8 choices, the last in pairs: 32 programs.
  Rig rig(1, Budget(100, 1, "grid"), {.capacity = 3, .failure_rate = 0.1, .reorder = true}, 1, 2,
          8);
  rig.Run();
  std::vector<tuner::Point> points;
  for (const db::Event& event : rig.Log(db::EventKind::kProposed)) {
    if (event.explorer == "default") continue;
    CHECK(event.explorer == "grid");
    points.push_back(*rig.spaces[0]->Parse(event.config));
  }
  CHECK(points.size() == 32);
  CHECK(std::is_sorted(points.begin(), points.end()));
}

TEST_CASE("the grid looks at a bounded number of programs and goes on behind the known ones",
          "[tuner]") {
  // 4 knobs of 8 choices: 4,096 configs, of which every other one is a program of its own.
  SyntheticSpace space(1, 4, 8);
  const tuner::Examples examples({}, 1);
  const absl::flat_hash_set<uint64_t> points;
  absl::flat_hash_set<uint64_t> programs;  // all but the last 8, as measured by an earlier job
  std::vector<tuner::Point> all;
  for (auto point = space.Next({}); point; point = space.Next(*point)) all.push_back(*point);
  REQUIRE(all.size() == 4096);
  for (size_t i = 0; i + 16 < all.size(); ++i) programs.insert(*space.LoopHash(all[i]));

  SyntheticSpace::Moves moves;
  space.moves = &moves;
  const auto explorer = tuner::MakeGridExplorer();
  const tuner::TaskView view = {space, nullptr, examples, points, programs};
  Rng rng(1);
  int results = 0;
  while (explorer->Explore(view, 32, rng).empty()) {
    CHECK(moves.hashed.size() <= 1024);
    moves.hashed.clear();
    explorer->Observe(view, {all[0], true, 1, 0, "random", 1}, Rng(1));
    CHECK(moves.hashed.size() <= 256);
    moves.hashed.clear();
    REQUIRE(++results < 20);
  }
  const auto found = explorer->Explore(view, 32, rng);
  REQUIRE(found.size() == 16);
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].point == all[all.size() - 16 + i]);
}

TEST_CASE("three in ten children of evolution are crossed, the others mutated", "[tuner]") {
  SyntheticSpace space(3);
  SyntheticSpace::Moves moves;
  space.moves = &moves;
  tuner::Examples examples({}, 1);
  examples.Add(tuner::Point(11, 3), 1e-3);
  const absl::flat_hash_set<uint64_t> known;
  const RidgeLearner::Linear ranker(std::vector<double>(space.FeatureCount(), 1));
  Rng rng(1);
  const auto found =
      tuner::MakeEvolutionExplorer()->Explore({space, &ranker, examples, known, known}, 64, rng);
  CHECK(found.size() == 64);
  const double children = moves.mutations + moves.crossings;
  CHECK(children == 4 * 512);
  CHECK(moves.crossings / children == Approx(0.3).margin(0.04));
}

// Knows nothing.
class Undecided final : public tuner::Ranker {
 public:
  std::vector<float> Score(absl::Span<const float> rows, int columns) const override {
    return std::vector<float>(rows.size() / columns, 0.0f);
  }
};

TEST_CASE("descent proposes the best point's neighbours, then those of the next best", "[tuner]") {
  const SyntheticSpace space(3);
  tuner::Examples examples({}, 1);
  const tuner::Point best(11, 0), second(11, 9);
  examples.Add(second, 2e-3);
  examples.Add(best, 1e-3);
  absl::flat_hash_set<uint64_t> known = {tuner::HashPoint(best), tuner::HashPoint(second)};
  const Undecided ranker;
  Rng rng(1);
  const auto explorer = tuner::MakeDescentExplorer();
  const auto differ = [](const tuner::Point& a, const tuner::Point& b) {
    int count = 0;
    for (size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
    return count;
  };
  // A corner has three neighbours along each of ten knobs.
  const auto found = explorer->Explore({space, &ranker, examples, known, known}, 34, rng);
  REQUIRE(found.size() == 34);
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(differ(found[i].point, i < 30 ? best : second) == 1);
    known.insert(tuner::HashPoint(found[i].point));
  }
  // Of the second's sixty, four were proposed.
  CHECK(explorer->Explore({space, &ranker, examples, known, known}, 100, rng).size() == 56);
}

// The mean option of each knob of what rl comes by when moving `planted` up, or down, made measured
// programs faster.
std::vector<double> MeansByRl(int planted, bool up) {
  const SyntheticSpace space(3);
  tuner::Examples examples({}, 1);
  Rng rng(static_cast<uint64_t>(planted));
  // What it starts from, no two of which differ in one knob.
  for (int i = 0; i < 16; ++i) examples.Add(space.Sample(rng), 1e-9);
  for (int i = 0; i < 40; ++i) {
    tuner::Point point = space.Sample(rng);
    for (const int32_t option : {4, 8, 12}) {
      point[planted] = option;
      examples.Add(point, std::exp(up ? -option : option));
    }
  }
  const absl::flat_hash_set<uint64_t> known;
  const Undecided ranker;  // what it learns, it learns from what was measured
  const auto found =
      tuner::MakeRlExplorer()->Explore({space, &ranker, examples, known, known}, 1 << 20, rng);
  REQUIRE(found.size() > 1000);
  std::vector<double> means(11, 0);
  for (const tuner::Candidate& candidate : found) {
    for (size_t knob = 0; knob < means.size(); ++knob) {
      means[knob] += candidate.point[knob] / static_cast<double>(found.size());
    }
  }
  return means;
}

TEST_CASE("rl prefers the edits that made measured programs faster", "[tuner]") {
  for (const int planted : {2, 7}) {
    const std::vector<double> up = MeansByRl(planted, true), down = MeansByRl(planted, false);
    for (int knob = 1; knob <= 10; ++knob) {
      CAPTURE(planted, knob, up[knob], down[knob]);
      if (knob == planted) {
        CHECK(up[knob] - down[knob] > 0.25);
      } else {
        CHECK(std::abs(up[knob] - down[knob]) < 0.15);
      }
    }
  }
}

// Proposes points that only say who did.
class Arm final : public tuner::Explorer {
 public:
  Arm(std::string_view name, int32_t sketch, bool finds = true)
      : name_(name), sketch_(sketch), finds_(finds) {}
  std::string_view Name() const override { return name_; }
  bool UsesModel() const override { return true; }
  void Observe(const tuner::TaskView&, const tuner::Observation&, Rng) override {}
  std::vector<tuner::Candidate> Explore(const tuner::TaskView&, int count, Rng&) const override {
    std::vector<tuner::Candidate> found;
    for (int i = 0; finds_ && i < count; ++i) found.push_back({{sketch_, i}, 0});
    return found;
  }

 private:
  std::string_view name_;
  int32_t sketch_;
  bool finds_;
};

class Portfolio {
 public:
  explicit Portfolio(bool descent_finds = true) {
    std::vector<std::unique_ptr<tuner::Explorer>> arms;
    arms.push_back(std::make_unique<Arm>("left", 0));
    arms.push_back(std::make_unique<Arm>("descent", 1, descent_finds));
    explorer_ = tuner::MakePortfolioExplorer(std::move(arms));
  }

  void Observe(std::string_view arm, double cost_seconds, double budget_share = 0.1) {
    const tuner::Point point = {0, 0};
    explorer_->Observe(view_, {point, true, cost_seconds, budget_share, arm, 1e-3}, Rng(1));
  }

  // The mean over batches of four, as they are proposed.
  double ShareOfDescent() const {
    Rng rng(5);
    int descents = 0;
    constexpr int kRounds = 400;
    for (int round = 0; round < kRounds; ++round) {
      const auto proposals =
          *tuner::ProposeBatch({*explorer_, view_, contenders_, {}, 1}, 4, {.epsilon = 0}, rng);
      REQUIRE(proposals.size() == 4);
      for (const tuner::Proposal& proposal : proposals) {
        const bool is_descents = space_.Parse(proposal.config)->front() == 1;
        CHECK(proposal.explorer == (is_descents ? "descent" : "left"));
        descents += is_descents;
      }
    }
    return descents / (4.0 * kRounds);
  }

 private:
  static SyntheticSpace Space() {
    SyntheticSpace space(3, 1);
    space.pairs = false;
    return space;
  }

  const SyntheticSpace space_ = Space();
  const RidgeLearner::Linear ranker_{{0, 1, 0}};
  const tuner::Examples examples_{{}, 1};
  const absl::flat_hash_set<uint64_t> known_;
  const tuner::TaskView view_ = {space_, &ranker_, examples_, known_, known_};
  const tuner::Contenders contenders_{{}};
  std::unique_ptr<tuner::Explorer> explorer_;
};

TEST_CASE("the portfolio finds the good one of two, and lets go when the other becomes it",
          "[tuner]") {
  Portfolio portfolio;
  CHECK(portfolio.ShareOfDescent() == Approx(0.5).margin(0.03));
  for (int i = 0; i < 16; ++i) {
    portfolio.Observe("left", 4e-3);
    portfolio.Observe("descent", i % 4 == 0 ? 0.9e-3 : 1.2e-3);
  }
  CHECK(portfolio.ShareOfDescent() > 0.8);
  CHECK(portfolio.ShareOfDescent() < 0.95);  // the other keeps a share
  for (int i = 0; i < 16; ++i) {
    portfolio.Observe("left", i % 4 == 0 ? 0.9e-3 : 1.2e-3);
    portfolio.Observe("descent", 4e-3);
  }
  CHECK(portfolio.ShareOfDescent() < 0.2);
  // What others propose earns nobody anything.
  for (int i = 0; i < 40; ++i) portfolio.Observe("random", 0.5e-3);
  CHECK(portfolio.ShareOfDescent() < 0.2);
  // In the endgame descent has a share whatever it earned.
  portfolio.Observe("left", 1.2e-3, 0.8);
  CHECK(portfolio.ShareOfDescent() == Approx(0.4).margin(0.03));
}

TEST_CASE("what a member of the portfolio does not find the others do", "[tuner]") {
  CHECK(Portfolio(/*descent_finds=*/false).ShareOfDescent() == 0);  // of whole batches
}

}  // namespace
}  // namespace tessera::test
