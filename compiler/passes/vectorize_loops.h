#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Replaces loops marked kVectorized by their body on vectors of the loop's extent (at most
// schedule::kMaxLanes at once; the code generator cuts them into registers). Tests that depend on
// the lane become predicates. Where all lanes update one accumulator (a reduction), they are
// combined first: acc = acc + reduce_add(v); those of copies of an unrolled loop, vector by vector
// before that. A vector loop around one that reduces becomes one update (vectorize_groups.h) where
// it can. Requires flat, scalar indices. Ensures no kVectorized loop remains: one whose body
// allocates memory or has vectors of its own is unrolled, one whose lanes meet in a store that is
// no update runs lane by lane.
ir::Stmt VectorizeLoops(const ir::Stmt& root);

}  // namespace tessera::passes
