#pragma once

#include <cstdint>
#include <vector>

namespace tessera::space {

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Fraction of computed positions that lie outside an axis cut into tiles.
double TileWaste(int64_t extent, int64_t tile);

// Register tile sizes of an unvectorised axis: its divisors, and other sizes where the edge tile
// wastes little, up to `limit`.
std::vector<int64_t> TileSizes(int64_t extent, int64_t limit);

// Vector widths that suit an axis: the full width; narrower ones where they leave no tail.
std::vector<int64_t> LaneChoices(int64_t extent, int64_t full);

}  // namespace tessera::space
