#pragma once

#include "compiler/ir/stmt.h"
#include "compiler/schedule/schedule.h"

namespace tessera::passes {

// Fetches ahead for stages with a prefetch step: in each innermost loop that stores to the stage's
// output, or to its register tile, every vector in memory that an iteration loads and that moves
// with the loop is prefetched as of so many iterations later, once. Requires flat indices, no
// unrolled and no vector loops. Changes no value; what is fetched may lie outside of buffers.
ir::Stmt InsertPrefetches(const ir::Stmt& root, const schedule::Schedule& schedule);

}  // namespace tessera::passes
