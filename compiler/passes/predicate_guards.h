#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Where a test inside an unrolled loop depends on that loop and on one that stays a loop, each copy
// would branch, with every accumulator passing through. Sums of products don't need to: the test
// moves into the loads of a factor, which are zero where it fails.
// Requires logical indices. Ensures: same stored values.
ir::Stmt PredicateGuards(const ir::Stmt& root);

}  // namespace tessera::passes
