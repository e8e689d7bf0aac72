#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::schedule {

// A schedule that always works and needs no measurement: inlines what is elementwise, parallelises
// the outermost loops but of small stages, and vectorises. Sums of products run in tiles of
// accumulators, along the weights' axis of results where weights are constant, which are packed for
// it (arrangement.h); everything else runs over the innermost axis. On GPUs each element is a
// thread's. Activations stay row-major. The fallback of libraries, the reference of verification. A
// step that doesn't apply to `dag` is an error, not an assertion: this runs in servers, on
// workloads from outside.
absl::StatusOr<Trace> DefaultTrace(const te::Dag& dag, const ir::Target& target);

}  // namespace tessera::schedule
