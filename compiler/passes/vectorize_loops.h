#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Replaces loops marked kVectorized by their body on vectors of the loop's extent (at most
// kMaxLanes at once; the code generator cuts them into registers). Tests that depend on the lane
// become predicates. Requires flat, scalar indices, and that no loop over a reduction is
// kVectorized. Ensures no kVectorized loop remains: one whose body allocates memory is unrolled,
// one whose tests let a single lane through runs lane by lane.
ir::Stmt VectorizeLoops(const ir::Stmt& root);

inline constexpr int64_t kMaxLanes = 64;

}  // namespace tessera::passes
