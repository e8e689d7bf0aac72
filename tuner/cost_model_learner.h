#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "tuner/learner.h"

namespace tessera::tuner {

// Learns with a model of costmodel: "xgboost", "random", … (costmodel/cost_model.h). The model's
// random numbers come from `seed`. InvalidArgument for an unknown name lists the known ones.
absl::StatusOr<std::shared_ptr<const Learner>> MakeLearner(std::string_view cost_model,
                                                           uint64_t seed);

}  // namespace tessera::tuner
