#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir::testing {

// An integer variable with the range that its loop gives it.
struct RangedVar {
  VarRef var;
  int64_t min, extent;
};

// A random 64-bit integer expression over `vars`, scalar or of `lanes`: sums, products, floor
// divisions and remainders by constants, minima, selects, shifts and masks. Never divides by zero.
Expr RandomIndex(Rng& rng, const std::vector<RangedVar>& vars, int depth, int lanes = 1);
Expr RandomCondition(Rng& rng, const std::vector<RangedVar>& vars, int depth, int lanes = 1);

// A random program that runs without error: every access is in range and every local is written
// before it is read. Uses all node kinds, most types, layouts, scopes, loop kinds and predicates.
Program RandomProgram(uint64_t seed);

}  // namespace tessera::ir::testing
