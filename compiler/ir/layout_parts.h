#pragma once

#include <cstdint>
#include <vector>

#include "compiler/ir/buffer.h"

// Parts of layouts that store more than each element once. ParseLayout and LayoutToString know
// them; constants may have them.

namespace tessera::ir {

// One inner part of an axis stands twice: "0/4 0%4 0%4" stores the elements of each four as the
// diagonal of a square, with zeros beside it.
bool HasDiagonal(const std::vector<LayoutDim>& layout);
// Positions of such a part, which is how many times as much is stored.
inline constexpr int64_t kMaxLayoutDiagonal = 64;

// A part that is a gap behind all of its axis: of [8], "0/4%2 0/8+1 0%4" stores each four two
// times, one behind the other. Who packs a constant fills such gaps with copies, any others with
// zeros.
bool IsOfCopies(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape, int part);
// How many times such parts store each element, all axes together: 1 without them, 0 where there
// are other gaps, too.
int64_t CopiesOf(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape);
// As many as a target's tiles may have rows (ir::Target::tile_rows).
inline constexpr int64_t kMaxLayoutCopies = 1024;
// Whether elements lie in order of the axes, outermost first, but for such parts.
bool IsRowMajorButCopies(const std::vector<LayoutDim>& layout, const std::vector<int64_t>& shape);

}  // namespace tessera::ir
