#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Gives doubled memory, which the threads of a block fill at the beginning of each turn of a loop,
// a second half. The first turn's content is stored before the loop; in it, each thread loads its
// share of the next turn's into memory of its own, then what reads this turn's half runs, then the
// shares are stored to the other half, and the threads meet: once a turn, while loads have the
// whole turn to arrive. Requires bound threads, and that what is stored to doubled memory reads
// nothing that is shared. Ensures that no barrier is missing for it: insert_barriers leaves doubled
// memory alone.
absl::StatusOr<ir::Stmt> DoubleBuffers(const ir::Stmt& root);

}  // namespace tessera::passes
