#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Makes kernels of the root nests that have loops bound to threads: inside of a nest's block loops
// comes one loop for each of its thread axes, z outermost, around everything that the threads of a
// block do. Its extent is that of the loop so bound inside of which memory is shared, else the
// largest that one has. Each loop so bound becomes the thread's share of its iterations: the one of
// the thread's number, or every n-th. What is stored outside of loops over an axis, but in a
// thread's own memory, its first thread stores. Requires: a root nest with thread loops begins with
// its block loops. InvalidArgument naming the loop that is bound otherwise, or that leaves threads
// out while a block shares memory.
absl::StatusOr<ir::Stmt> BindThreads(const ir::Stmt& root);

}  // namespace tessera::passes
