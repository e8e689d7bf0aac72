#include "costmodel/xgboost_model.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "costmodel/model_format.h"

namespace tessera::costmodel {

absl::Status XgboostModel::Fit(const TrainingData& data) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  const auto boost = [&]() -> absl::StatusOr<Boosted> {
    if (draft_weight_ == 0) return Boost(data, options_);
    TrainingData drafted = data;
    drafted.margins.resize(data.labels.size(), 0.0F);
    AddDraft(data.rows, data.columns, drafted.margins);
    return Boost(drafted, options_);
  };
  TESSERA_ASSIGN_OR_RETURN(Boosted boosted, boost());
  json_ = std::move(boosted.json);
  columns_ = data.columns;
  trees_ = std::move(boosted.trees);
  return absl::OkStatus();
}

std::vector<float> XgboostModel::Predict(absl::Span<const float> rows, int columns) const {
  if (!trees_) return std::vector<float>(rows.size() / columns, 0.0f);
  TESSERA_CHECK(columns == columns_);
  std::vector<float> scores = trees_->Predict(rows, columns);
  AddDraft(rows, columns, scores);
  return scores;
}

void XgboostModel::AddDraft(absl::Span<const float> rows, int columns,
                            std::vector<float>& scores) const {
  if (draft_weight_ == 0 || FeatureVersionOfRows(columns) == 0) return;
  const std::vector<float> drafts = DraftScores(rows, columns);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] += draft_weight_ * drafts[i];
}

absl::StatusOr<std::string> XgboostModel::Save() const {
  if (!trees_) return absl::FailedPreconditionError(absl::StrCat(name_, ": it is not fitted"));
  std::string bytes = ModelHead(name_, columns_);
  bytes.append(reinterpret_cast<const char*>(&draft_weight_), sizeof(draft_weight_));
  return bytes + trees_->ToBytes();
}

absl::Status XgboostModel::Load(std::string_view bytes) {
  TESSERA_ASSIGN_OR_RETURN(const ModelBody body, ReadModelHead(name_, bytes));
  float draft_weight = 0;
  if (body.bytes.size() < sizeof(draft_weight)) return absl::DataLossError("cost model: damaged");
  std::memcpy(&draft_weight, body.bytes.data(), sizeof(draft_weight));
  TESSERA_ASSIGN_OR_RETURN(TreeEnsemble trees,
                           TreeEnsemble::FromBytes(body.bytes.substr(sizeof(draft_weight))));
  if (body.columns < trees.columns_used() || !std::isfinite(draft_weight)) {
    return absl::DataLossError("cost model: damaged");
  }
  json_.clear();
  columns_ = body.columns;
  draft_weight_ = draft_weight;
  trees_ = std::move(trees);
  return absl::OkStatus();
}

BoostingOptions RankingOptions(uint64_t seed) {
  return {
      .objective = Objective::kRanking, .seed = seed, .learning_rate = 0.2, .column_share = 0.6};
}

BoostingOptions RegressionOptions(uint64_t seed) {
  return {.objective = Objective::kRegression, .seed = seed};
}

// TVM 0.16, python/tvm/autotvm/tuner/xgboost_cost_model.py, loss_type "rank".
BoostingOptions AutoTvmOptions(uint64_t seed) {
  return {.objective = Objective::kRanking,
          .stopping = Stopping::kTrainingRecall,
          .seed = seed,
          .max_rounds = 8000,
          .max_depth = 3,
          .learning_rate = 0.3,
          .column_share = 1,
          .pairs = 1};
}

std::unique_ptr<CostModel> MakeRankingModel(uint64_t seed) {
  return std::make_unique<XgboostModel>("xgboost", RankingOptions(seed), kDraftWeight);
}

std::unique_ptr<CostModel> MakeRegressionModel(uint64_t seed) {
  return std::make_unique<XgboostModel>("regression", RegressionOptions(seed));
}

std::unique_ptr<CostModel> MakeAutoTvmModel(uint64_t seed) {
  return std::make_unique<XgboostModel>("autotvm", AutoTvmOptions(seed));
}

}  // namespace tessera::costmodel
