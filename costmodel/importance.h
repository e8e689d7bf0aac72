#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "costmodel/cost_model.h"

// What a task's model looks at, beyond the draft that its trees correct (draft.h).

namespace tessera::costmodel {

struct FeatureImportance {
  std::string feature;
  double gain = 0;       // its share of what all splits of the trees gained, in [0, 1]
  double mean_shap = 0;  // mean |SHAP value| over the programs, in the unit of the score
};

// How a model ranks programs that it was not fitted to.
struct HeldOutQuality {
  int programs = 0;
  double pairwise = 0;  // costmodel/metrics.h, as are these:
  double top1 = 0, top5 = 0;
};

struct Explanation {
  // Of a model fitted to all rows; the largest mean_shap first, without features that no split
  // looks at.
  std::vector<FeatureImportance> features;
  // Of one fitted to the others (split.h); none where nothing can be held out.
  std::optional<HeldOutQuality> held_out;
};

// Fits model "xgboost" to the programs of one task. `names` of the columns. Errors as of Fit.
absl::StatusOr<Explanation> Explain(const TrainingData& data, absl::Span<const std::string> names,
                                    uint64_t seed);

}  // namespace tessera::costmodel
