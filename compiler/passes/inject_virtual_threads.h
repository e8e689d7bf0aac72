#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Has each thread do the work of its virtual threads by turns, statement by statement: a loop bound
// to `virtual` becomes unrolled ones around the innermost statements that differ between its
// iterations. What doesn't differ, such as what a block shares, is done once. Memory of a virtual
// thread gets a dimension for its number in front.
// Requires: virtual threads read of what others write only what a block shares.
// Ensures: no loop is bound to `virtual`.
ir::Stmt InjectVirtualThreads(const ir::Stmt& root);

}  // namespace tessera::passes
