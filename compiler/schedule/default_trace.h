#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::schedule {

// A schedule that always works and needs no measurement: inlines what is elementwise, parallelises
// the outermost loops and vectorises. Reductions with constant weights run over the weights' output
// axis in vectors, with the weights packed for it and a small tile of accumulators; everything else
// runs over the innermost axis. On GPUs each element is a thread's. Activations stay row-major. The
// fallback of libraries, the
// reference of verification. A step that doesn't apply to `dag` is an error, not an assertion: this
// runs in servers, on workloads from outside.
absl::StatusOr<Trace> DefaultTrace(const te::Dag& dag, const ir::Target& target);

}  // namespace tessera::schedule
