#pragma once

#include <cstdint>
#include <vector>

#include "compiler/ir/buffer.h"

// Layouts in which one inner part of an axis stands twice: "0/4 0%4 0%4" stores the elements of
// each four as the diagonal of a square, with zeros beside it. ParseLayout and LayoutToString know
// them.

namespace tessera::ir {

// Positions of such a part, which is how many times as much is stored.
inline constexpr int64_t kMaxLayoutDiagonal = 64;

bool HasDiagonal(const std::vector<LayoutDim>& layout);

}  // namespace tessera::ir
