#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"

// What a program takes on a plain machine, by arithmetic on its feature row: for the time before
// anything was measured.

namespace tessera::costmodel {

// Estimated seconds of the program of a row (features.h). Of a CPU's: cycles of the arithmetic, of
// loads, bodies and beginnings of stages, of what comes into each level of caches and of spilled
// accumulators, of all stages, shared by the threads. Of a GPU's: gpu_draft.h, of a VTA's:
// vta_draft.h. Finite and positive
// for every row that FeatureExtractor writes. Good for comparing programs of one task only: the
// machine is no particular one. Requires a row of programs. Allocates nothing.
double DraftSeconds(absl::Span<const float> row);

// Higher = faster: -log2 DraftSeconds of each row.
std::vector<float> DraftScores(absl::Span<const float> rows, int columns);

// Ranks by DraftScores; fitting only tells which rows are ranked. Takes rows of programs only.
class DraftModel final : public CostModel {
 public:
  std::string_view name() const override { return "draft"; }
  // InvalidArgument for rows of other columns.
  absl::Status Fit(const TrainingData& data) override;
  std::vector<float> Predict(absl::Span<const float> rows, int columns) const override;
  absl::StatusOr<std::string> Save() const override;
  absl::Status Load(std::string_view bytes) override;

 private:
  int columns_ = FeatureCount(ir::TargetKind::kX86);
};

std::unique_ptr<CostModel> MakeDraftModel(uint64_t seed);

}  // namespace tessera::costmodel
