#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Replaces loops marked kUnrolled by copies of their body with the variable's value.
// Ensures no kUnrolled loop remains. InvalidArgument when more than
// schedule::kMaxUnrolledStores stores would result.
absl::StatusOr<ir::Stmt> UnrollLoops(const ir::Stmt& root);

// How many Store statements `root` holds once its unrolled loops are copied.
int64_t CountUnrolledStores(const ir::Stmt& root);

}  // namespace tessera::passes
