#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "costmodel/cost_model.h"
#include "costmodel/tree_ensemble.h"

// Gradient-boosted trees by XGBoost's C API (1.7): one thread, seeded, so that the same data gives
// the same bytes.

namespace tessera::costmodel {

enum class Objective : uint8_t {
  kRanking,     // pairs of programs of one task in the right order
  kRegression,  // log2 of the throughput relative to the mean of the task
};

enum class Stopping : uint8_t {
  // As many trees as ranked held-out rows best (split.h), then fitted to all rows; `rounds` where
  // too few rows are held out to tell.
  kHeldOut,
  // When 20 trees have brought no better recall on the training data itself: AutoTVM.
  kTrainingRecall,
};

struct BoostingOptions {
  Objective objective = Objective::kRanking;
  Stopping stopping = Stopping::kHeldOut;
  uint64_t seed = 0;
  int rounds = 100;      // trees, where nothing is held out, and at least where something is
  int max_rounds = 500;  // at most
  int max_depth = 6;
  double learning_rate = 0.1;
  double column_share = 0.3;  // that a tree may look at
  int pairs = 8;              // of each row with others of its task, in every round of kRanking
};

// The trees add to `data.margins`. Requires CheckTrainingData(data).
struct Boosted {
  TreeEnsemble trees;
  std::string json;  // the library's form
};
absl::StatusOr<Boosted> Boost(const TrainingData& data, const BoostingOptions& options);

// What the library makes of its own form of a booster, for rows of [n × columns]. Predictions, one
// a row, to compare ours with; contributions (SHAP values, 1706.06060) of each column and of a
// bias, [n × (columns + 1)], which sum to the prediction; what all splits on a column gained, 0
// where there is none.
absl::StatusOr<std::vector<float>> LibraryPredict(std::string_view json,
                                                  absl::Span<const float> rows, int columns);
absl::StatusOr<std::vector<float>> LibraryContributions(std::string_view json,
                                                        absl::Span<const float> rows, int columns);
absl::StatusOr<std::vector<double>> LibraryGains(std::string_view json, int columns);

}  // namespace tessera::costmodel
