#pragma once

#include "absl/status/status.h"
#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Checks that types agree, variables are used in scope and not bound again there (loops beside each
// other may share one), buffers are parameters or allocated, index counts match (rank, or one after
// flattening), extents are positive, and every Load and Store whose range can be derived stays
// inside its buffer, taking the enclosing If, Select and predicate conditions into account; and
// that no barrier is behind a condition on which threads of a block may differ. Returns the first
// fault, with the statement printed and, for an access, loop values at which it happens, or OK. An
// access whose range can't be derived, or for which no such values are found, is accepted.
absl::Status Verify(const Program& program);

}  // namespace tessera::ir
