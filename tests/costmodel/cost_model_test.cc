#include "costmodel/cost_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/view.h"
#include "costmodel/metrics.h"
#include "costmodel/xgboost_model.h"
#include "tests/costmodel/synthetic.h"
#include "tests/support/source_file.h"

namespace tessera::costmodel {
namespace {

XgboostModel Small() {
  return {"xgboost", {.seed = 1, .rounds = 40, .max_rounds = 40, .learning_rate = 0.2}};
}

// Those that take rows of any columns: the draft knows its own only (draft_test.cc).
std::vector<CostModelKind> KindsForAnyRows() {
  std::vector<CostModelKind> kinds;
  for (const CostModelKind& kind : CostModelKinds()) {
    if (kind.name != "draft") kinds.push_back(kind);
  }
  return kinds;
}

TEST_CASE("every model but the random one learns to rank from few rows and from many",
          "[costmodel]") {
  const TrainingData fresh = Synthetic(2, 200);
  for (const auto& [count, wanted] : {std::pair(32, 0.62), std::pair(400, 0.88)}) {
    const TrainingData data = Synthetic(1, count);
    for (const CostModelKind& kind : KindsForAnyRows()) {
      CAPTURE(kind.name, count);
      const auto model = *MakeCostModel(kind.name, 5);
      CHECK(model->name() == kind.name);
      REQUIRE(model->Fit(data).ok());
      const double accuracy = PairwiseAccuracy(model->Predict(fresh.rows, kColumns), fresh.labels);
      if (kind.name == "random") {
        CHECK(std::abs(accuracy - 0.5) < 0.1);
      } else {
        CHECK(accuracy > wanted);
      }
    }
  }
}

TEST_CASE("the known models are in order, and an unknown one is refused with their names",
          "[costmodel]") {
  CHECK(std::ranges::is_sorted(CostModelKinds(), {}, &CostModelKind::name));
  CHECK(CostModelNames() == "autotvm, draft, ensemble, random, regression or xgboost");
  CHECK(std::string(MakeCostModel("oracle", 0).status().message()) ==
        "cost model 'oracle' is not known; choose " + CostModelNames());
}

TEST_CASE("docs/cost_models.md lists the models that there are", "[costmodel]") {
  std::string expected = "| Name | What it is |\n|---|---|\n";
  for (const CostModelKind& kind : CostModelKinds()) {
    absl::StrAppend(&expected, "| `", AbslView(kind.name), "` | ", AbslView(kind.summary), " |\n");
  }
  CHECK_THAT(ReadSourceFile("docs/cost_models.md"), Catch::Contains(expected + "\n"));
}

TEST_CASE("the tree evaluator is bit-equal to the library", "[costmodel]") {
  for (const uint64_t seed : {3u, 4u}) {
    CAPTURE(seed);
    XgboostModel model("xgboost", {.seed = seed, .max_depth = seed == 3 ? 6 : 3});
    REQUIRE(model.Fit(Synthetic(seed, 300)).ok());
    const TrainingData fresh = Synthetic(seed + 10, 501);
    CHECK(model.Predict(fresh.rows, kColumns) ==
          *LibraryPredict(model.json(), fresh.rows, kColumns));
  }
}

TEST_CASE("a saved and loaded model predicts the same", "[costmodel]") {
  const TrainingData data = Synthetic(6, 200);
  for (const CostModelKind& kind : KindsForAnyRows()) {
    CAPTURE(kind.name);
    auto model = *MakeCostModel(kind.name, 9);
    REQUIRE(model->Fit(data).ok());
    auto loaded = *MakeCostModel(kind.name, 123);
    REQUIRE(loaded->Load(*model->Save()).ok());
    CHECK(loaded->Predict(data.rows, kColumns) == model->Predict(data.rows, kColumns));
    CHECK(*loaded->Save() == *model->Save());
  }
}

TEST_CASE("equal data, options and seeds give equal bytes", "[costmodel]") {
  const TrainingData data = Synthetic(7, 200);
  for (const CostModelKind& kind : KindsForAnyRows()) {
    CAPTURE(kind.name);
    const auto a = *MakeCostModel(kind.name, 4), b = *MakeCostModel(kind.name, 4);
    REQUIRE(a->Fit(data).ok());
    REQUIRE(b->Fit(data).ok());
    CHECK(*a->Save() == *b->Save());
  }
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
  data = Synthetic(1, 10);
  data.groups = {11, -1};
  CHECK(std::string(model.Fit(data).message()) == "training data: a group of -1 rows");
  data = Synthetic(1, 10);
  data.margins = {1, 2};
  CHECK(std::string(model.Fit(data).message()) == "training data: 2 margins for 10 rows");
}

TEST_CASE("damaged and foreign model bytes are refused and change nothing", "[costmodel]") {
  XgboostModel model = Small();
  const TrainingData data = Synthetic(1, 100);
  REQUIRE(model.Fit(data).ok());
  const std::vector<float> scores = model.Predict(data.rows, kColumns);
  const std::string bytes = *model.Save();
  std::string other = bytes;
  other.replace(other.find("features ") + 9, 1, "9");
  CHECK(model.Load(other).code() == absl::StatusCode::kFailedPrecondition);
  CHECK((*MakeCostModel("regression", 1))->Load(bytes).code() ==
        absl::StatusCode::kFailedPrecondition);
  CHECK(model.Load("").code() == absl::StatusCode::kDataLoss);
  CHECK(model.Load(std::string_view(bytes).substr(0, bytes.size() / 2)).code() ==
        absl::StatusCode::kDataLoss);
  CHECK(model.Load("tessera xgboost model 2\n2 100\n").code() ==
        absl::StatusCode::kFailedPrecondition);
  std::string wild = bytes;  // a split on a column that no row has
  const int32_t column = 1 << 30;
  std::memcpy(&wild[wild.size() - (40 * 64 * 4) - 4], &column, sizeof(column));
  CHECK(model.Load(wild).code() == absl::StatusCode::kDataLoss);
  // The last leaf, the last split's threshold, the draft's weight, the base score.
  const size_t body = bytes.find('\n') + 1;
  for (const size_t place :
       {wild.size() - 4, wild.size() - (40 * 64 * 4) - 8, body, body + 4 + 12}) {
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
