#include "costmodel/importance.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "costmodel/boosting.h"
#include "costmodel/metrics.h"
#include "costmodel/split.h"
#include "costmodel/xgboost_model.h"

namespace tessera::costmodel {
namespace {

absl::StatusOr<HeldOutQuality> Judge(const Split& split, uint64_t seed) {
  XgboostModel model("xgboost", RankingOptions(seed), kDraftWeight);
  TESSERA_RETURN_IF_ERROR(model.Fit(split.kept));
  const std::vector<float> scores = model.Predict(split.held_out.rows, split.held_out.columns);
  const std::vector<float>& truth = split.held_out.labels;
  return HeldOutQuality{static_cast<int>(truth.size()), PairwiseAccuracy(scores, truth),
                        TopScore(scores, truth, 1), TopScore(scores, truth, 5)};
}

}  // namespace

absl::StatusOr<Explanation> Explain(const TrainingData& data, absl::Span<const std::string> names,
                                    uint64_t seed) {
  TESSERA_RETURN_IF_ERROR(CheckTrainingData(data));
  TESSERA_CHECK(static_cast<int>(names.size()) == data.columns && data.groups.empty());
  XgboostModel model("xgboost", RankingOptions(seed), kDraftWeight);
  TESSERA_RETURN_IF_ERROR(model.Fit(data));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<double> gains,
                           LibraryGains(model.json(), data.columns));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<float> contributions,
                           LibraryContributions(model.json(), data.rows, data.columns));
  Explanation explanation;
  double all_gain = 0;
  for (const double gain : gains) all_gain += gain;
  for (int column = 0; column < data.columns; ++column) {
    if (gains[column] <= 0) continue;
    double sum = 0;
    for (size_t i = column; i < contributions.size(); i += data.columns + 1) {
      sum += std::abs(contributions[i]);
    }
    explanation.features.push_back(
        {names[column], gains[column] / all_gain, sum / static_cast<double>(data.labels.size())});
  }
  std::stable_sort(explanation.features.begin(), explanation.features.end(),
                   [](const auto& a, const auto& b) { return a.mean_shap > b.mean_shap; });
  if (const Split split = HoldOut(data, seed); !split.held_out.labels.empty()) {
    TESSERA_ASSIGN_OR_RETURN(explanation.held_out, Judge(split, seed));
  }
  return explanation;
}

}  // namespace tessera::costmodel
