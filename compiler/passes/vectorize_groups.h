#pragma once

#include <optional>

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// The body of two vector loops, the inner of which reduces, at once:
//   for v in [0, L) vectorized { for j in [0, G) vectorized { acc[v] = acc[v] + value(v, j) } }
// becomes acc[v] = acc[v] + reduce_add(values), a call of L lanes over L × G values, of which code
// generators know instructions (compiler/te/instructions.h). Nothing where `loop` is no such nest
// or a load does not walk through memory as the values are ordered: G apart along v, or not at all.
// Requires flat indices.
std::optional<ir::Stmt> VectorizeGroups(const ir::For& loop);

}  // namespace tessera::passes
