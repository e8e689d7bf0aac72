#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Replaces logical indices by one index into the stored array of the buffer (row-major of its
// shape, or of its layout). Requires scalar indices. Ensures every Load and Store has one index.
ir::Program Flatten(const ir::Program& program);

}  // namespace tessera::passes
