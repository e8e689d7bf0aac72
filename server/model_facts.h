#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/session.h"

namespace tessera::server {

// What a model's manifest.json (docs/library.md) says that one of its buckets is run by.
struct ModelFacts {
  proto::ModelPlan plan;              // names, tensors, steps, and what outputs have to be
  std::vector<std::string> step_ops;  // the operator of each step
};

// Of a builder's text: each bucket's, the model's own where it has none. FailedPrecondition, with
// what is missing, for what can't be run so: no manifest of a model, stored tensors, more tensors
// than a plan has. Values of outputs are left out where the manifest has none.
absl::StatusOr<std::vector<ModelFacts>> ReadModelFacts(std::string_view manifest);

}  // namespace tessera::server
