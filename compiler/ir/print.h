#pragma once

#include <string>

#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Canonical text that parse.h reads back to a structurally equal node. Variables and buffers of
// equal name get a suffix (_1, _2, …) so that the text is unambiguous.
std::string Print(const Expr& e);
std::string Print(const Stmt& s);
std::string Print(const Program& program);

}  // namespace tessera::ir
