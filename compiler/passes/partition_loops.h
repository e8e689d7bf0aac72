#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Cuts serial loops where tests on their variable (and on unrolled or vectorised loops inside)
// become certain: a few peeled iterations at each end keep the tests, the long middle has none.
// Loops where few stores have such tests, and in their values alone, stay whole.
// A loop whose whole body is behind a test of its own variable gets the range where that holds.
// Requires simplified conditions. Ensures: same stores, in the same order.
ir::Stmt PartitionLoops(const ir::Stmt& root);

}  // namespace tessera::passes
