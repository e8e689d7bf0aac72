#pragma once

#include <cstdint>

#include "compiler/ir/stmt.h"

namespace tessera::ir {

// Equal for programs that differ in the names of variables and buffers only; stable between
// processes, platforms and releases. Layouts, scopes, loop kinds, types and constants count.
uint64_t StructuralHash(const Program& program);
bool StructurallyEqual(const Program& a, const Program& b);
// The same tree over the same variables and buffers.
bool SameTree(const Expr& a, const Expr& b);

}  // namespace tessera::ir
