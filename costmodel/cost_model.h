#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::costmodel {

// Measured programs.
struct TrainingData {
  int columns = 0;            // of a row
  std::vector<float> rows;    // [labels × columns], row-major
  std::vector<float> labels;  // throughput relative to the best of its task, [0, 1]; failures 0
  // Numbers of consecutive rows that may be compared with each other (one task each); empty: all.
  std::vector<int> groups;
  // What is known of the rows before, one value each, in the unit of the model that is fitted: it
  // learns what is to be added to that (f = f_prior + f_local), and predicts that alone. Empty: 0.
  std::vector<float> margins;
};

// The groups, all rows in one where none are given.
std::vector<int> GroupsOf(const TrainingData& data);

// The rows from `begin` to before `end` as data of one task: in one group, without margins.
TrainingData RowsOf(const TrainingData& data, size_t begin, size_t end);

// What a model makes of rows: one value each, higher = expected to be faster.
struct Scores {
  std::vector<float> mean;
  // How far the truth may be, beside the other rows, in the unit of `mean`; empty: not told.
  std::vector<float> deviation;
};

// Ranks programs by their features. Const methods are thread-safe.
class CostModel {
 public:
  virtual ~CostModel() = default;
  virtual std::string_view name() const = 0;
  // Trains from nothing, so that a model depends on its data alone and has a bounded size whatever
  // came before. Deterministic. InvalidArgument for data of inconsistent sizes or values that are
  // not finite; the model is unchanged then.
  virtual absl::Status Fit(const TrainingData& data) = 0;
  // One score a row, higher = expected to be faster; before the first Fit those of a prior, or all
  // equal. `rows` is [n × columns] with the columns of the training data. The same model and rows
  // give the same scores, bit for bit.
  virtual std::vector<float> Predict(absl::Span<const float> rows, int columns) const = 0;
  // The same scores, with what the model tells of their uncertainty.
  virtual Scores PredictWithDeviation(absl::Span<const float> rows, int columns) const {
    return {Predict(rows, columns), {}};
  }
  // The model as bytes, and back. Load: FailedPrecondition for another feature or format version,
  // DataLoss for bytes that are damaged; the model is unchanged then.
  virtual absl::StatusOr<std::string> Save() const = 0;
  virtual absl::Status Load(std::string_view bytes) = 0;
};

// What there is to choose from, by name in alphabetic order: errors, the command line's help and
// docs/cost_models.md say the same.
struct CostModelKind {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<CostModel> (*make)(uint64_t seed);
};
absl::Span<const CostModelKind> CostModelKinds();
// "a, b or c".
std::string CostModelNames();

// InvalidArgument for another name, with the known ones.
absl::StatusOr<std::unique_ptr<CostModel>> MakeCostModel(std::string_view name, uint64_t seed);

absl::Status CheckTrainingData(const TrainingData& data);

}  // namespace tessera::costmodel
