#pragma once

#include <optional>

#include "compiler/ir/simplify.h"
#include "compiler/ir/stmt.h"

namespace tessera::passes {

// The test between `loop` over the points of groups and the vector loop over a group, which becomes
// a mask; null if there is none.
const ir::If* GuardOfGroups(const ir::For& loop);

// The body of two vector loops, the inner of which reduces, at once:
//   for v in [0, L) vectorized { for j in [0, G) vectorized { acc[v] = acc[v] + value(v, j) } }
// becomes acc[v] = acc[v] + reduce_add(values), a call of L lanes over L × G values, of which code
// generators know instructions (compiler/te/instructions.h). A test of v around the inner loop
// becomes a mask: loads are zero for points that fail it. Nothing where `loop` is no such nest or a
// load does not walk through memory as the values are ordered: G apart along v, or not at all.
// Requires flat indices. `ranges`: of the variables of loops around.
std::optional<ir::Stmt> VectorizeGroups(const ir::For& loop, const ir::Ranges& ranges);

}  // namespace tessera::passes
