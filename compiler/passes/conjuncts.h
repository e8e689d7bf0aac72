#pragma once

#include <vector>

#include "compiler/ir/expr.h"

namespace tessera::passes {

// The operands of a tree of kAnd, left to right; a single one if `condition` is no conjunction.
std::vector<ir::Expr> Conjuncts(const ir::Expr& condition);

}  // namespace tessera::passes
