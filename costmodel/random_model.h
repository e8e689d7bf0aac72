#pragma once

#include <memory>

#include "costmodel/cost_model.h"

namespace tessera::costmodel {

// Scores by a hash of the row and the seed: knows nothing, always the same.
class RandomModel final : public CostModel {
 public:
  explicit RandomModel(uint64_t seed) : seed_(seed) {}
  std::string_view name() const override { return "random"; }
  absl::Status Fit(const TrainingData& data) override { return CheckTrainingData(data); }
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

 private:
  uint64_t seed_;
};

std::unique_ptr<CostModel> MakeRandomModel(uint64_t seed);

}  // namespace tessera::costmodel
