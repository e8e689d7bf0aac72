#include "costmodel/boosting.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "costmodel/metrics.h"
#include "costmodel/xgboost_model.h"
#include "tests/costmodel/synthetic.h"

namespace tessera::costmodel {
namespace {

TEST_CASE("held-out rows stop a fit to noise early, and let one to a ranking go on",
          "[costmodel]") {
  int noise_trees = 0, truth_trees = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    const TrainingData data = Synthetic(seed, 500);
    TrainingData noise = data;
    Rng rng(seed);
    for (float& label : noise.labels) label = static_cast<float>(rng.Uniform());
    for (const Objective objective : {Objective::kRanking, Objective::kRegression}) {
      const BoostingOptions options = {.objective = objective, .seed = seed, .rounds = 1};
      truth_trees += Boost(data, options)->trees.tree_count();
      noise_trees += Boost(noise, options)->trees.tree_count();
    }
  }
  CAPTURE(noise_trees, truth_trees);
  CHECK(noise_trees < 10 * 80);  // of 500
  CHECK(truth_trees > 1.5 * noise_trees);
}

TEST_CASE("few rows get the rounds that were asked for, many no fewer and no more than the most",
          "[costmodel]") {
  CHECK(Boost(Synthetic(1, 16), {.rounds = 70})->trees.tree_count() == 70);
  const int trees = Boost(Synthetic(1, 500), {.rounds = 3, .max_rounds = 20})->trees.tree_count();
  CHECK(trees > 3);
  CHECK(trees <= 20);
}

TEST_CASE("trees learn what margins leave over", "[costmodel]") {
  for (const Objective objective : {Objective::kRanking, Objective::kRegression}) {
    CAPTURE(static_cast<int>(objective));
    TrainingData data = Synthetic(3, 60);
    const TrainingData fresh = Synthetic(4, 200);
    const BoostingOptions options = {.objective = objective, .seed = 1};
    const auto accuracy = [&](const std::vector<float>& margins) {
      std::vector<float> scores = Boost(data, options)->trees.Predict(fresh.rows, kColumns);
      for (size_t i = 0; i < scores.size() && !margins.empty(); ++i) scores[i] += margins[i];
      return PairwiseAccuracy(scores, fresh.labels);
    };
    const double alone = accuracy({});
    // A prior that knows one of the three columns that matter.
    const auto prior = [](const TrainingData& rows) {
      std::vector<float> margins;
      for (size_t i = 0; i < rows.labels.size(); ++i) {
        margins.push_back(3 * (rows.rows[i * kColumns + 2] - 0.5f));
      }
      return margins;
    };
    data.margins = prior(data);
    const double corrected = accuracy(prior(fresh));
    CAPTURE(alone, corrected, PairwiseAccuracy(prior(fresh), fresh.labels));
    CHECK(corrected > alone + 0.01);
    CHECK(corrected > PairwiseAccuracy(prior(fresh), fresh.labels));
  }
}

TEST_CASE("autotvm has the published parameters and goes on while training recall grows",
          "[costmodel]") {
  const BoostingOptions options = AutoTvmOptions(1);
  CHECK(options.max_depth == 3);
  CHECK(options.learning_rate == 0.3);
  CHECK(options.column_share == 1);
  CHECK(options.stopping == Stopping::kTrainingRecall);
  // It holds nothing out: noise is learned by heart.
  TrainingData noise = Synthetic(2, 200);
  Rng rng(3);
  for (float& label : noise.labels) label = static_cast<float>(rng.Uniform());
  const auto fitted = Boost(noise, options);
  CHECK(fitted->trees.tree_count() > 30);
  CHECK(PairwiseAccuracy(fitted->trees.Predict(noise.rows, kColumns), noise.labels) > 0.8);
}

TEST_CASE("a library's booster that is damaged is refused", "[costmodel]") {
  CHECK(LibraryPredict("{}", Synthetic(1, 2).rows, kColumns).status().code() ==
        absl::StatusCode::kDataLoss);
}

TEST_CASE("contributions sum to the prediction", "[costmodel]") {
  const TrainingData data = Synthetic(5, 150);
  const Boosted boosted = *Boost(data, {.seed = 2});
  const std::vector<float> scores = boosted.trees.Predict(data.rows, kColumns);
  const std::vector<float> shap = *LibraryContributions(boosted.json, data.rows, kColumns);
  REQUIRE(shap.size() == data.labels.size() * (kColumns + 1));
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto begin = shap.begin() + static_cast<long>(i * (kColumns + 1));
    CHECK(std::accumulate(begin, begin + kColumns + 1, 0.0) == Approx(scores[i]).margin(1e-4));
  }
}

}  // namespace
}  // namespace tessera::costmodel
