#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/schedule/schedule.h"

// What stages have to be for an accelerator (targets of kind kVta) to have instructions for them.

namespace tessera::schedule {

// That a stage is a part of one input of the workload, element by element, with zeros exactly where
// it lies beyond that: each dimension of the input is read at an axis of the stage, one for one,
// plus a constant. InvalidArgument, saying how it isn't, else.
absl::Status CheckCopy(const Schedule& schedule, const StageState& copy);

// The axis of `store` for each dimension of `sum`, which it reads once, at its own place.
// InvalidArgument else.
absl::StatusOr<std::vector<int>> StoredAxes(const StageState& store, const ir::Buffer& sum);

}  // namespace tessera::schedule
