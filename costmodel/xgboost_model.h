#pragma once

#include <memory>
#include <optional>
#include <string>

#include "costmodel/boosting.h"
#include "costmodel/cost_model.h"
#include "costmodel/tree_ensemble.h"

namespace tessera::costmodel {

// Boosted trees, which may correct the draft: `draft_weight` times its score of each row (draft.h)
// is added, unless rows have other columns than programs. Predictions by TreeEnsemble, not by the
// library, and saved as such: 74 KiB for 100 trees of depth 6, where the library's JSON takes a
// megabyte.
class XgboostModel final : public CostModel {
 public:
  XgboostModel(std::string_view name, const BoostingOptions& options, float draft_weight = 0)
      : name_(name), options_(options), draft_weight_(draft_weight) {}
  std::string_view name() const override { return name_; }
  absl::Status Fit(const TrainingData& data) override;
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

  // The library's form of the trees that were fitted here; empty for a model that was loaded, with
  // which it is not stored.
  const std::string& json() const { return json_; }

 private:
  void AddDraft(absl::Span<const float> rows, int columns, std::vector<float>& scores) const;

  std::string name_;
  BoostingOptions options_;
  float draft_weight_;
  std::string json_;
  int columns_ = 0;
  std::optional<TreeEnsemble> trees_;
};

// What the models of these names fit (cost_model.h); docs/cost_models.md tells how they were
// chosen.
inline constexpr float kDraftWeight = 2;  // of "xgboost"
BoostingOptions RankingOptions(uint64_t seed);
BoostingOptions RegressionOptions(uint64_t seed);
BoostingOptions AutoTvmOptions(uint64_t seed);

std::unique_ptr<CostModel> MakeRankingModel(uint64_t seed);
std::unique_ptr<CostModel> MakeRegressionModel(uint64_t seed);
std::unique_ptr<CostModel> MakeAutoTvmModel(uint64_t seed);

}  // namespace tessera::costmodel
