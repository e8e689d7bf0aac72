#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "costmodel/cost_model.h"

namespace tessera::tuner {

// Whether a model of other tasks goes on ranking this one. Its scores of results that it has not
// seen are forecasts. It is let go
//   - when its share of pairs in order, at the upper end of a 90 % interval, is hardly above that
//     of lots (kChance), or
//   - when trees fitted to the results alone forecast later ones better than trees on top of it do,
//     by more than kMargin, and by more than chance does in one case of twenty.
// `results`: of one task, measured by the job that begins with the model, in the order of
// measuring, without margins: models were trained before their jobs, but maybe on what was known of
// the task by then. A function of its arguments: each fit asks anew, of all that is known then.
// Errors are those of fitting.
inline constexpr double kChance = 0.55, kMargin = 0.02;
absl::StatusOr<bool> PriorHolds(const std::shared_ptr<const costmodel::CostModel>& prior,
                                const costmodel::TrainingData& results, uint64_t seed);

}  // namespace tessera::tuner
