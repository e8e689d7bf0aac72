#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::schedule {

// te::ExecutedOperations of what `trace` computes: of `dag` after the last step that chooses
// another algorithm (winograd) and those before it, without the stages that depend on constants
// alone, which are computed when weights are packed. Where no step does, those of `dag`. Errors: a
// step that can't be applied.
absl::StatusOr<int64_t> ExecutedOperations(const te::Dag& dag, const Trace& trace);

}  // namespace tessera::schedule
