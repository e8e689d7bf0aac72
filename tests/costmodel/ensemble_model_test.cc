#include "costmodel/ensemble_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

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
  CHECK(Mean(scores.deviation) > 1.2 * many_deviation);

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
