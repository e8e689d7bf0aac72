#pragma once

#include <optional>

#include "costmodel/cost_model.h"
#include "costmodel/tree_ensemble.h"

namespace tessera::costmodel {

struct XgboostOptions {
  uint64_t seed = 0;
  int rounds = 100;  // trees
  int max_depth = 6;
  double learning_rate = 0.2;
};

// Gradient-boosted trees by XGBoost's C API (1.7): rank:pairwise, one thread, seeded, so that the
// same data gives the same bytes. Predictions by TreeEnsemble, not by the library, and saved as
// such: 74 KiB for 100 trees of depth 6, where the library's JSON takes a megabyte.
class XgboostModel final : public CostModel {
 public:
  explicit XgboostModel(XgboostOptions options) : options_(options) {}
  std::string_view name() const override { return "xgboost"; }
  absl::Status Fit(const TrainingData& data) override;
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

  // The library's own predictions, to compare with. FailedPrecondition for a model that was loaded:
  // the library's form of it is not stored.
  absl::StatusOr<std::vector<float>> LibraryPredict(absl::Span<const float> rows,
                                                    int columns) const;

 private:
  XgboostOptions options_;
  std::string booster_;  // JSON; empty unless fitted here
  int columns_ = 0;
  std::optional<TreeEnsemble> trees_;
};

}  // namespace tessera::costmodel
