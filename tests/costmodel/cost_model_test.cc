#include "costmodel/cost_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/rng.h"
#include "costmodel/xgboost_model.h"

namespace tessera::costmodel {
namespace {

constexpr int kColumns = 12;

// Throughput that depends on three of the columns, one of them not monotonically.
float Truth(absl::Span<const float> row) {
  return 0.5f * row[2] + 0.3f * (row[5] > 0.6f ? 1.0f : 0.0f) +
         0.2f * (1 - std::abs(row[7] - 0.4f));
}

TrainingData Synthetic(uint64_t seed, int count) {
  Rng rng(seed);
  TrainingData data;
  data.columns = kColumns;
  for (int i = 0; i < count * kColumns; ++i) {
    data.rows.push_back(static_cast<float>(rng.Uniform()));
  }
  for (int i = 0; i < count; ++i) {
    data.labels.push_back(Truth(absl::MakeConstSpan(data.rows).subspan(i * kColumns, kColumns)));
  }
  return data;
}

double PairwiseAccuracy(const std::vector<float>& scores, const std::vector<float>& labels) {
  int right = 0, all = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (std::abs(labels[i] - labels[j]) < 1e-3) continue;
      ++all;
      right += (scores[i] < scores[j]) == (labels[i] < labels[j]) ? 1 : 0;
    }
  }
  return static_cast<double>(right) / all;
}

XgboostModel Small() { return XgboostModel({.seed = 1, .rounds = 40}); }

TEST_CASE("xgboost learns a ranking from examples; random does not", "[costmodel]") {
  const TrainingData data = Synthetic(1, 400), fresh = Synthetic(2, 200);
  XgboostModel model = Small();
  REQUIRE(model.Fit(data).ok());
  CHECK(PairwiseAccuracy(model.Predict(fresh.rows, kColumns), fresh.labels) > 0.9);
  const auto random = *MakeCostModel("random", 5);
  REQUIRE(random->Fit(data).ok());
  CHECK(std::abs(PairwiseAccuracy(random->Predict(fresh.rows, kColumns), fresh.labels) - 0.5) <
        0.1);
}

TEST_CASE("the tree evaluator is bit-equal to the library", "[costmodel]") {
  for (const uint64_t seed : {3u, 4u}) {
    CAPTURE(seed);
    XgboostModel model({.seed = seed, .rounds = 60, .max_depth = seed == 3 ? 6 : 3});
    REQUIRE(model.Fit(Synthetic(seed, 300)).ok());
    const TrainingData fresh = Synthetic(seed + 10, 501);
    CHECK(model.Predict(fresh.rows, kColumns) == *model.LibraryPredict(fresh.rows, kColumns));
  }
}

TEST_CASE("a saved and loaded model predicts the same", "[costmodel]") {
  const TrainingData data = Synthetic(6, 200);
  for (const char* name : {"xgboost", "random"}) {
    auto model = *MakeCostModel(name, 9);
    REQUIRE(model->Fit(data).ok());
    auto loaded = *MakeCostModel(name, 123);
    REQUIRE(loaded->Load(*model->Save()).ok());
    CHECK(loaded->Predict(data.rows, kColumns) == model->Predict(data.rows, kColumns));
    CHECK(*loaded->Save() == *model->Save());
  }
}

TEST_CASE("equal data, options and seeds give equal bytes", "[costmodel]") {
  const TrainingData data = Synthetic(7, 200);
  XgboostModel a = Small(), b = Small();
  REQUIRE(a.Fit(data).ok());
  REQUIRE(b.Fit(data).ok());
  CHECK(*a.Save() == *b.Save());
}

TEST_CASE("a model depends on its data alone and stays of one size over refits", "[costmodel]") {
  XgboostModel model = Small();
  for (int refit = 0; refit < 30; ++refit) {
    const TrainingData data = Synthetic(8 + refit, 100 + 10 * refit);
    REQUIRE(model.Fit(data).ok());
    const std::string bytes = *model.Save();
    CHECK(bytes.size() < 40 * 64 * 12 + 128);
    XgboostModel fresh = Small();
    REQUIRE(fresh.Fit(data).ok());
    CHECK(*fresh.Save() == bytes);
    REQUIRE(model.Load(bytes).ok());
  }
}

TEST_CASE("groups are ranked within themselves", "[costmodel]") {
  // Two tasks whose labels run against each other between groups, but not within them.
  TrainingData data;
  data.columns = 2;
  for (int group = 0; group < 2; ++group) {
    for (int i = 0; i < 100; ++i) {
      data.rows.push_back(static_cast<float>(group));
      data.rows.push_back(static_cast<float>(i));
      data.labels.push_back((static_cast<float>(i) / 100 + 1 - static_cast<float>(group)) / 2);
    }
  }
  data.groups = {100, 100};
  XgboostModel model = Small();
  REQUIRE(model.Fit(data).ok());
  const std::vector<float> scores = model.Predict(data.rows, 2);
  CHECK(scores[99] > scores[0] + 1);
  CHECK(scores[199] > scores[100] + 1);
}

TEST_CASE("a model that was not fitted gives equal scores and can't be saved", "[costmodel]") {
  const TrainingData data = Synthetic(1, 10);
  const XgboostModel model = Small();
  CHECK(model.Predict(data.rows, kColumns) == std::vector<float>(10, 0.0f));
  CHECK(model.Save().status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("bad training data is refused by name", "[costmodel]") {
  XgboostModel model = Small();
  TrainingData data = Synthetic(1, 10);
  data.labels.pop_back();
  CHECK(std::string(model.Fit(data).message()) ==
        "training data: 120 values for 9 rows of 12 columns");
  data = Synthetic(1, 10);
  data.groups = {4, 5};
  CHECK(std::string(model.Fit(data).message()) == "training data: groups hold 9 of 10 rows");
  data = Synthetic(1, 10);
  data.rows[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::string(model.Fit(data).message()) ==
        "training data: value 7 of the rows is not finite");
  CHECK_FALSE(MakeCostModel("oracle", 0).ok());
}

TEST_CASE("damaged and foreign model bytes are refused and change nothing", "[costmodel]") {
  XgboostModel model = Small();
  const TrainingData data = Synthetic(1, 100);
  REQUIRE(model.Fit(data).ok());
  const std::vector<float> scores = model.Predict(data.rows, kColumns);
  const std::string bytes = *model.Save();
  std::string other = bytes;
  other.replace(other.find("\n") + 1, 1, "9");
  CHECK(model.Load(other).code() == absl::StatusCode::kFailedPrecondition);
  CHECK(model.Load("").code() == absl::StatusCode::kDataLoss);
  CHECK(model.Load(std::string_view(bytes).substr(0, bytes.size() / 2)).code() ==
        absl::StatusCode::kDataLoss);
  CHECK(model.Load("tessera xgboost model 3\n").code() == absl::StatusCode::kFailedPrecondition);
  std::string wild = bytes;  // a split on a column that no row has
  const int32_t column = 1 << 30;
  std::memcpy(&wild[wild.size() - (40 * 64 * 4) - 4], &column, sizeof(column));
  CHECK(model.Load(wild).code() == absl::StatusCode::kDataLoss);
  // The last leaf, the last split's threshold, the base score.
  for (const size_t place : {wild.size() - 4, wild.size() - (40 * 64 * 4) - 8,
                             bytes.find('\n', bytes.find('\n') + 1) + 1 + 12}) {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -1.0f}) {
      CAPTURE(place, value);
      std::string changed = bytes;
      std::memcpy(&changed[place], &value, sizeof(value));
      XgboostModel other_model = Small();
      CHECK(other_model.Load(changed).code() ==
            (value == -1 ? absl::StatusCode::kOk : absl::StatusCode::kDataLoss));
    }
  }
  CHECK(model.Load(bytes + "x").code() == absl::StatusCode::kDataLoss);
  CHECK(model.Predict(data.rows, kColumns) == scores);
}

}  // namespace
}  // namespace tessera::costmodel
