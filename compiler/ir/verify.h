#pragma once

#include "absl/status/status.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Checks that types agree, variables are bound once and in scope, buffers are parameters or
// allocated, index counts match (rank, or one after flattening), extents are positive, and every
// Load and Store whose indices are affine in loop variables stays inside its buffer, taking the
// enclosing If, Select and predicate conditions into account. Returns the first fault, with the
// statement printed, or OK. An access whose range can't be derived is accepted.
absl::Status Verify(const Program& program);

}  // namespace tessera::ir
