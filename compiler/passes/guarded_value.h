#pragma once

#include "compiler/ir/expr.h"
#include "compiler/te/dag.h"

namespace tessera::passes {

// A stage's value with the condition under which it is worth computing.
struct GuardedValue {
  ir::Expr condition;  // empty: always
  ir::Expr value;
};

// The same number.
bool SameConst(const ir::Expr& a, const ir::Expr& b);

// Splits what a reduction combines into a condition and a value such that it changes nothing where
// the condition is false: a product with a padded tap is skipped rather than multiplied. `k`: which
// of a combiner's results it is.
GuardedValue SplitIdentity(te::Combiner combiner, const ir::Expr& body, int k = 0);

}  // namespace tessera::passes
