#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Moves each conjunct of an If that is a loop's (or allocation's) whole body out of the loops that
// it does not depend on, so that a test runs once instead of once an iteration.
// Ensures: same stores, in the same order.
ir::Stmt HoistGuards(const ir::Stmt& root);

}  // namespace tessera::passes
