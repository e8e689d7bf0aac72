#include "costmodel/prior_model.h"

#include <catch2/catch.hpp>

#include "costmodel/metrics.h"
#include "tests/costmodel/synthetic.h"

namespace tessera::costmodel {
namespace {

// A prior that knows column 2 alone, in a unit of its own.
std::shared_ptr<const CostModel> TrainedPrior(float sign) {
  TrainingData data = Synthetic(20, 600);
  for (int i = 0; i < 600; ++i) {
    data.labels[i] = 0.5f + sign * 0.4f * (data.rows[i * kColumns + 2] - 0.5f);
  }
  std::shared_ptr<CostModel> prior = *MakeCostModel("xgboost", 2);
  REQUIRE(prior->Fit(data).ok());
  return prior;
}

TEST_CASE("a prior decides alone at first, and helps while rows are few", "[costmodel]") {
  const auto prior = TrainedPrior(1);
  const TrainingData fresh = Synthetic(21, 300);
  const auto model = *PriorModel::Make(prior, 1);
  CHECK(model->Predict(fresh.rows, kColumns) == prior->Predict(fresh.rows, kColumns));
  CHECK(model->Save().status().code() == absl::StatusCode::kFailedPrecondition);

  double with = 0, without = 0;
  for (uint64_t seed = 30; seed < 35; ++seed) {
    const TrainingData few = Synthetic(seed, 20);
    REQUIRE(model->Fit(few).ok());
    with += PairwiseAccuracy(model->Predict(fresh.rows, kColumns), fresh.labels) / 5;
    const auto alone = *MakeCostModel("xgboost", 1);
    REQUIRE(alone->Fit(few).ok());
    without += PairwiseAccuracy(alone->Predict(fresh.rows, kColumns), fresh.labels) / 5;
  }
  CAPTURE(with, without);
  CHECK(with > without + 0.03);
}

TEST_CASE("a wrong prior is outvoted by many rows", "[costmodel]") {
  const auto model = *PriorModel::Make(TrainedPrior(-1), 1);
  const TrainingData fresh = Synthetic(22, 300);
  CHECK(PairwiseAccuracy(model->Predict(fresh.rows, kColumns), fresh.labels) < 0.45);
  REQUIRE(model->Fit(Synthetic(23, 500)).ok());
  CHECK(PairwiseAccuracy(model->Predict(fresh.rows, kColumns), fresh.labels) > 0.85);
}

TEST_CASE("a model with a prior is loaded over the same prior only", "[costmodel]") {
  const auto prior = TrainedPrior(1);
  const TrainingData data = Synthetic(24, 80);
  const auto model = *PriorModel::Make(prior, 1);
  REQUIRE(model->Fit(data).ok());
  const std::string bytes = *model->Save();
  const auto loaded = *PriorModel::Make(prior, 9);
  REQUIRE(loaded->Load(bytes).ok());
  CHECK(loaded->Predict(data.rows, kColumns) == model->Predict(data.rows, kColumns));
  CHECK(*loaded->Save() == bytes);
  CHECK((*PriorModel::Make(TrainedPrior(-1), 1))->Load(bytes).code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(loaded->Load(bytes.substr(0, 60)).code() == absl::StatusCode::kDataLoss);
  CHECK(loaded->Load(bytes.substr(0, bytes.size() - 1)).code() == absl::StatusCode::kDataLoss);
  TrainingData grouped = data;
  grouped.groups = {40, 40};
  CHECK(model->Fit(grouped).code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::costmodel
