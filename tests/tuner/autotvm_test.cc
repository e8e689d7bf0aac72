#include <catch2/catch.hpp>
#include <map>

#include "tests/tuner/rig.h"
#include "tuner/explorer.h"

namespace tessera::test {
namespace {

using db::EventKind;

TEST_CASE("autotvm proposes 64 when all results are in and learned, and nothing in between",
          "[tuner]") {
  Rig rig(1, Budget(160, 3, "autotvm"),
          {.capacity = 5,
           .noise = 0.05,
           .failure_rate = 0.05,
           .infrastructure_rate = 0.05,
           .give_back_rate = 0.1,
           .reorder = true,
           .seed = 3});
  rig.UseDrafts();  // which it has no use for
  rig.spaces[0]->pairs = false;
  rig.Run(2);
  std::vector<std::map<std::string, int>> plans;  // proposals by explorer
  int proposed = 0, finished = 0, models = 0;
  bool planning = false;
  for (const db::Event& event : rig.Log()) {
    if (event.kind == EventKind::kProposed) {
      if (!planning) {
        CHECK(finished == proposed);
        CHECK(models == static_cast<int>(plans.size()));
        plans.emplace_back();
      }
      ++plans.back()[event.explorer];
      ++proposed;
    }
    planning = event.kind == EventKind::kProposed;
    finished += event.kind == EventKind::kResult;
    models += event.kind == EventKind::kModelReady;
  }
  REQUIRE(plans.size() == 3);
  CHECK(plans[0] == std::map<std::string, int>{{"default", 1}, {"random", 63}});
  // 5 % of a plan is random.
  CHECK(plans[1] == std::map<std::string, int>{{"autotvm", 61}, {"random", 3}});
  CHECK(plans[2] == std::map<std::string, int>{{"autotvm", 32}});
}

TEST_CASE("a plan does not wait for a model that can't be fitted", "[tuner]") {
  Rig rig(1, Budget(100, 1, "autotvm"), {.capacity = 4});
  rig.learner->fail = true;
  CHECK(rig.Run().state == db::JobState::kDone);
  CHECK(rig.learner->fits == 1);
  CHECK(rig.Log(EventKind::kProposed).size() == 100);
}

TEST_CASE("autotvm finds what a model thinks best", "[tuner]") {
  const SyntheticSpace space(3);
  const tuner::Examples examples({}, 1);
  absl::flat_hash_set<uint64_t> known;
  // Higher options are better.
  const RidgeLearner::Linear ranker(std::vector<double>(space.FeatureCount(), 10));
  const auto explorer = tuner::MakeAutoTvmExplorer();
  Rng rng(1);
  const auto explore = [&] {
    auto found = explorer->Explore({space, &ranker, examples, known, known}, 1000, rng);
    for (const tuner::Candidate& candidate : found) {
      CHECK(known.insert(tuner::HashPoint(candidate.point)).second);
      explorer->Observe({space, nullptr, examples, known, known},
                        {candidate.point, true, 1e-3, 0.5, "autotvm", 1e-3}, Rng(1));
    }
    return found;
  };
  const auto found = explore();
  REQUIRE(found.size() == 61);
  CHECK(found[0].point == tuner::Point{0, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15});
  CHECK(std::ranges::is_sorted(found, std::greater(), &tuner::Candidate::score));
  // The next plan starts from there, and has none of them.
  const auto next = explore();
  REQUIRE(next.size() == 61);
  CHECK(next[0].score <= found[60].score);
  CHECK(next[60].score > 0.8f * found[0].score);
}

}  // namespace
}  // namespace tessera::test
