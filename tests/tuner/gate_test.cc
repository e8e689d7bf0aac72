#include "tuner/gate.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/costmodel/synthetic.h"

namespace tessera::tuner {
namespace {

using costmodel::kColumns;
using costmodel::TrainingData;

// A model of tasks in which the truth, with `sign`, and noise make the throughput.
std::shared_ptr<const costmodel::CostModel> Trained(float sign, float noise) {
  Rng rng(77);
  TrainingData data = costmodel::Synthetic(20, 600);
  for (float& label : data.labels) {
    label =
        std::clamp(0.5f + sign * (label - 0.5f) + noise * static_cast<float>(rng.Uniform() - 0.5),
                   0.001f, 1.0f);
  }
  std::shared_ptr<costmodel::CostModel> model = *costmodel::MakeCostModel("xgboost", 2);
  REQUIRE(model->Fit(data).ok());
  return model;
}

// Programs of a task as a search measures them: the first ones drawn, later ones the best of
// several by the model, which tells those apart worse than it does others.
TrainingData Measured(const costmodel::CostModel& model, uint64_t seed, int drawn, int chosen) {
  TrainingData data = costmodel::Synthetic(seed, drawn);
  const TrainingData pool = costmodel::Synthetic(seed + 1000, 8 * chosen);
  const std::vector<float> scores = model.Predict(pool.rows, kColumns);
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (int i = 0; i < chosen; ++i) {
    const auto row = pool.rows.begin() + static_cast<std::ptrdiff_t>(order[i] * kColumns);
    data.rows.insert(data.rows.end(), row, row + kColumns);
    data.labels.push_back(pool.labels[order[i]]);
  }
  return data;
}

TEST_CASE("an inverted model is let go within 16 results", "[tuner]") {
  const auto inverted = Trained(-1, 0.1f);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    CHECK_FALSE(*PriorHolds(inverted, Measured(*inverted, seed, 16, 0), 1));
    CHECK_FALSE(*PriorHolds(inverted, Measured(*inverted, seed, 8, 8), 1));
  }
}

TEST_CASE("a true model is kept, however many results there are", "[tuner]") {
  const auto model = Trained(1, 0.1f);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const int results : {2, 8, 16, 32, 48, 64, 128}) {
      CAPTURE(seed, results);
      CHECK(*PriorHolds(model, Measured(*model, seed, results, 0), 1));
      CHECK(*PriorHolds(model, Measured(*model, seed, (results + 1) / 2, results / 2), 1));
    }
  }
}

TEST_CASE("a model that says nothing of a task is let go in the long run", "[tuner]") {
  // Of other columns than those that the truth is made of.
  TrainingData data = costmodel::Synthetic(20, 600);
  for (int i = 0; i < 600; ++i) data.labels[i] = data.rows[i * kColumns + 9];
  std::shared_ptr<costmodel::CostModel> model = *costmodel::MakeCostModel("xgboost", 2);
  REQUIRE(model->Fit(data).ok());
  int held = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    held += *PriorHolds(model, costmodel::Synthetic(seed, 256), 1);
  }
  CHECK(held <= 2);
}

TEST_CASE("the gate is a function of what it is shown", "[tuner]") {
  const auto model = Trained(1, 0.5f);
  const TrainingData data = costmodel::Synthetic(5, 100);
  const bool first = *PriorHolds(model, data, 3);
  for (int i = 0; i < 3; ++i) CHECK(*PriorHolds(model, data, 3) == first);
  // Equal times say nothing.
  TrainingData equal = data;
  std::fill(equal.labels.begin(), equal.labels.end(), 1.0f);
  CHECK(*PriorHolds(model, equal, 3));
}

}  // namespace
}  // namespace tessera::tuner
