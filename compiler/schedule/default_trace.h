#pragma once

#include "compiler/ir/target.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/dag.h"

namespace tessera::schedule {

// A schedule that always works and needs no measurement: inlines what is elementwise, vectorises
// the innermost contiguous axis, parallelises the outermost loops, keeps every layout as declared
// (kBlocked and kFree ones stay row-major). The fallback of libraries, the reference of verification.
Trace DefaultTrace(const te::Dag& dag, const ir::Target& target);

}  // namespace tessera::schedule
