#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Puts barriers where threads of a block hand memory to each other: between a statement that writes
// shared memory and one that uses it, or uses it and one that writes it, also where they follow
// each other in turns of a loop.
// Requires: threads are bound (BindThreads), virtual ones are injected; a loop or test in which no
// shared memory is allocated uses what it writes of it in the thread that wrote it alone.
ir::Stmt InsertBarriers(const ir::Stmt& root);

}  // namespace tessera::passes
