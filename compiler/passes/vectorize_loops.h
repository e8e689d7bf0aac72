#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Replaces loops marked kVectorized by their body on vectors of the loop's extent (at most
// kMaxLanes at once; the code generator cuts them into registers). Tests that depend on the lane
// become predicates. Requires flat, scalar indices. Ensures no kVectorized loop remains; one whose
// body allocates memory is unrolled instead. InvalidArgument when a lane-dependent value would be
// stored at a place that all lanes share (a reduction over lanes).
absl::StatusOr<ir::Stmt> VectorizeLoops(const ir::Stmt& root);

inline constexpr int64_t kMaxLanes = 64;

}  // namespace tessera::passes
