#pragma once

#include <string>

#include "compiler/ir/stmt.h"

namespace tessera::passes {

// Keeps the accumulators of a register tile in a small local array while reduction loops run:
// around the outermost serial loop in which a buffer is updated at places that no serial loop
// inside moves, the tile is loaded before and stored after. With its unrolled and vector loops
// expanded, the array has constant indices and becomes registers.
// Requires logical indices, simplified by loops alone: a tile is copied outside the tests that
// stand before its updates. Ensures: same values in the same memory after each such loop.
ir::Stmt AccumulateInRegisters(const ir::Stmt& root);

// What the array is called that keeps accumulators of `buffer`.
inline std::string RegisterTileName(const ir::BufferNode& buffer) { return buffer.name + ".tile"; }

}  // namespace tessera::passes
