#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/buffer.h"

namespace tessera::schedule {

// What a tile holds of a tensor: of `dimension` so many elements, outermost first; of kCopies the
// same so many times (ir::IsOfCopies).
inline constexpr int kCopies = -1;
struct TileDim {
  int dimension;
  int64_t extent;
};
using Tile = std::vector<TileDim>;
// Elements of `dimension` that lie in one tile.
int64_t UnitOf(const Tile& tile, int dimension);

// The layout that has such tiles innermost and the other dimensions in order, as
// ir::LayoutToString writes it.
std::string TiledLayoutText(const ir::BufferNode& buffer, const Tile& tile);

// A tensor in DRAM as an array of tiles.
struct TiledDim {
  int dimension;
  int64_t extent;  // tiles
  int64_t stride;  // tiles
};
struct TiledLayout {
  std::vector<TiledDim> dims;  // outermost first, each of the tensor's once
};

// `stored`: how the buffer is stored. InvalidArgument naming the layout that is and that is wanted
// where its innermost part isn't such a tile, or it cuts other dimensions.
absl::StatusOr<TiledLayout> FindTiles(const ir::BufferNode& buffer,
                                      absl::Span<const ir::LayoutDim> stored, const Tile& tile);

}  // namespace tessera::schedule
