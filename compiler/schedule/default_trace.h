#pragma once

#include <string_view>

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

// The same but for every stage that a library can compute on `target` (external.h,
// ir/matrix_call.h), which calls it: once for each matrix, or for each of equal parts of its rows,
// else of its columns, where that gives each of the target's threads work; of convolutions once for
// each image and group, or for each of equal parts of its filters, with channels in blocks as long
// as vectors where they fill some. InvalidArgument where there is no such stage, and for what is no
// CPU.
absl::StatusOr<Trace> ExternalTrace(const te::Dag& dag, const ir::Target& target,
                                    std::string_view provider);

}  // namespace tessera::schedule
