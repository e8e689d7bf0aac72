#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "tuner/learner.h"

namespace tessera::tuner {

// A fitted model as bytes: what CostModel::Save of the named kind returned. Empty: none.
struct SavedModel {
  std::string cost_model, bytes;
};

// Learns with a model of costmodel: "xgboost", "random", … (costmodel/cost_model.h). The model's
// random numbers come from `seed`. InvalidArgument for an unknown name lists the known ones.
// With a model of other tasks, fits begin with it (costmodel::PriorModel) as long as the results
// don't speak against it (gate.h). Only kWithPrior can do that: InvalidArgument for others; errors
// of CostModel::Load for a model that can't be read.
inline constexpr std::string_view kWithPrior = "xgboost";
absl::StatusOr<std::shared_ptr<const Learner>> MakeLearner(std::string_view cost_model,
                                                           uint64_t seed,
                                                           const SavedModel& prior = {});

}  // namespace tessera::tuner
