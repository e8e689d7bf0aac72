#include "costmodel/ensemble_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "costmodel/model_format.h"
#include "tests/costmodel/synthetic.h"

namespace tessera::costmodel {
namespace {

double Mean(absl::Span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

TEST_CASE("an ensemble's deviation shrinks with the rows, and is larger where it errs more",
          "[costmodel]") {
  const TrainingData fresh = Synthetic(8, 400);
  const auto fitted = [](const TrainingData& data) {
    EnsembleModel model(DefaultEnsembleOptions(1));
    REQUIRE(model.Fit(data).ok());
    return model;
  };
  const TrainingData data = Synthetic(7, 50);
  const EnsembleModel few = fitted(data);
  const Scores scores = few.PredictWithDeviation(fresh.rows, kColumns);
  CHECK(scores.mean == few.Predict(fresh.rows, kColumns));
  const double many_deviation =
      Mean(fitted(Synthetic(7, 800)).PredictWithDeviation(fresh.rows, kColumns).deviation);
  CAPTURE(Mean(scores.deviation), many_deviation);
  CHECK(many_deviation > 0);
  CHECK(Mean(scores.deviation) > 1.1 * many_deviation);

  // What a regression learns: the logarithm less its mean.
  const auto logs = [](const TrainingData& rows) {
    std::vector<float> logs;
    for (const float label : rows.labels) logs.push_back(std::log2(label));
    return logs;
  };
  const auto mean_log = static_cast<float>(Mean(logs(data)));
  const std::vector<float> truth = logs(fresh);
  std::vector<float> sorted = scores.deviation;
  std::nth_element(sorted.begin(), sorted.begin() + 200, sorted.end());
  std::vector<float> sure, unsure;  // errors
  for (size_t i = 0; i < truth.size(); ++i) {
    const float error = std::abs(scores.mean[i] - (truth[i] - mean_log));
    (scores.deviation[i] < sorted[200] ? sure : unsure).push_back(error);
  }
  CAPTURE(Mean(sure), Mean(unsure));
  CHECK(Mean(unsure) > 1.1 * Mean(sure));
}

TEST_CASE("what an ensemble's members say of all rows alike is no deviation", "[costmodel]") {
  // A tree of one split with `step` between its sides, above or below by `offset`.
  const auto member = [](const std::string& offset, const std::string& step) {
    const std::string json =
        R"({"learner":{"learner_model_param":{"base_score":")" + offset +
        R"("},"gradient_booster":{"model":{"trees":[{"left_children":[1,-1,-1],)"
        R"("right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[0.5,0.0,)" +
        step + "]}]}}}}";
    const std::string trees = TreeEnsemble::FromBoosterJson(json).value().ToBytes();
    const uint64_t size = trees.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + trees;
  };
  const std::vector<float> rows = {0.25f, 0.75f, 0.25f, 0.75f};
  const auto scores = [&](const std::string& members) {
    EnsembleModel model(DefaultEnsembleOptions(1));
    REQUIRE(model.Load(ModelHead("ensemble", 1) + members).ok());
    return model.PredictWithDeviation(rows, 1);
  };
  const Scores apart = scores(member("0.5", "1.0") + member("-0.5", "1.0") + member("3.0", "1.0"));
  CHECK(apart.mean == std::vector<float>{1, 2, 1, 2});
  CHECK(apart.deviation == std::vector<float>(4, 0.0f));
  // What they say of one row more than of the others is.
  const Scores unsure = scores(member("0.5", "1.0") + member("-0.5", "3.0"));
  for (const float deviation : unsure.deviation) {
    CHECK(deviation == Approx(std::sqrt(2.0) / 2));
  }
}

TEST_CASE("damaged ensembles are refused and change nothing", "[costmodel]") {
  EnsembleModel model(DefaultEnsembleOptions(1));
  const TrainingData data = Synthetic(7, 100);
  REQUIRE(model.Fit(data).ok());
  const std::string bytes = *model.Save();
  const std::vector<float> scores = model.Predict(data.rows, kColumns);
  const size_t head = bytes.find('\n') + 1;
  for (const std::string& damaged :
       {bytes.substr(0, head), bytes.substr(0, head + 4), bytes.substr(0, bytes.size() - 1),
        bytes + "x", bytes.substr(0, head) + std::string(8, '\xff') + bytes.substr(head + 8)}) {
    CHECK(model.Load(damaged).code() == absl::StatusCode::kDataLoss);
  }
  CHECK(model.Predict(data.rows, kColumns) == scores);
}

}  // namespace
}  // namespace tessera::costmodel
