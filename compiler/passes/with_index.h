#pragma once

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// `s` with `wide`, which has one more dimension in front, in place of `buffer`: `index` is put
// before the indices of each use.
ir::Stmt WithIndex(const ir::Stmt& s, const ir::Buffer& buffer, const ir::Buffer& wide,
                   const ir::Expr& index);

}  // namespace tessera::passes
