#pragma once

#include <memory>
#include <string>
#include <vector>

#include "costmodel/boosting.h"
#include "costmodel/cost_model.h"
#include "costmodel/tree_ensemble.h"

namespace tessera::costmodel {

struct EnsembleOptions {
  int members = 8;
  BoostingOptions boosting;  // of each, but for the seed, which the members' are drawn from
};

// Boosted trees, each fitted to rows drawn with replacement, as many as there are of each task
// (bagging; Breiman 1996). The score is their mean; the deviation the standard deviation of what
// they say of a row beyond their means over the rows that are asked about, large where the training
// rows leave open what holds: a single row has none.
class EnsembleModel final : public CostModel {
 public:
  explicit EnsembleModel(const EnsembleOptions& options) : options_(options) {}
  std::string_view name() const override { return "ensemble"; }
  absl::Status Fit(const TrainingData& data) override;
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  Scores PredictWithDeviation(absl::Span<const float> rows, int columns) const override;
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

 private:
  EnsembleOptions options_;
  int columns_ = 0;
  std::vector<TreeEnsemble> members_;  // none before the first fit
};

EnsembleOptions DefaultEnsembleOptions(uint64_t seed);
std::unique_ptr<CostModel> MakeEnsembleModel(uint64_t seed);

}  // namespace tessera::costmodel
