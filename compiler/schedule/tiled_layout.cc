#include "compiler/schedule/tiled_layout.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace tessera::schedule {
namespace {

// Parts of one element don't count.
std::vector<ir::LayoutDim> WithoutOnes(absl::Span<const ir::LayoutDim> stored,
                                       const ir::BufferNode& buffer) {
  std::vector<ir::LayoutDim> parts(stored.begin(), stored.end());
  if (parts.empty()) {
    for (size_t d = 0; d < buffer.shape.size(); ++d) {
      parts.push_back({static_cast<int>(d), 1, buffer.shape[d]});
    }
  }
  std::erase_if(parts, [](const ir::LayoutDim& part) { return part.extent == 1; });
  return parts;
}

}  // namespace

int64_t UnitOf(const Tile& tile, int dimension) {
  const auto found = std::ranges::find(tile, dimension, &TileDim::dimension);
  return found == tile.end() ? 1 : found->extent;
}

std::string TiledLayoutText(const ir::BufferNode& buffer, const Tile& tile) {
  std::vector<ir::LayoutDim> parts;
  for (size_t d = 0; d < buffer.shape.size(); ++d) {
    const int64_t unit = UnitOf(tile, static_cast<int>(d));
    parts.push_back({static_cast<int>(d), unit, (buffer.shape[d] + unit - 1) / unit});
  }
  for (const TileDim& dim : tile) {
    if (dim.extent == 1) continue;
    if (dim.dimension != kCopies) {
      parts.push_back({dim.dimension, 1, dim.extent});
      continue;
    }
    const ir::LayoutDim& outer = parts[tile.back().dimension];
    parts.push_back({outer.axis, outer.divisor * outer.extent, dim.extent});
  }
  return ir::LayoutToString(parts, buffer.shape);
}

absl::StatusOr<TiledLayout> FindTiles(const ir::BufferNode& buffer,
                                      absl::Span<const ir::LayoutDim> stored, const Tile& tile) {
  std::vector<ir::LayoutDim> parts = WithoutOnes(stored, buffer);
  const auto refuse = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        buffer.name, " is stored as \"",
        ir::LayoutToString(WithoutOnes(stored, buffer), buffer.shape),
        "\"; the accelerator's tiles are those of \"", TiledLayoutText(buffer, tile), "\""));
  };
  size_t count = parts.size();
  for (size_t t = tile.size(); t-- > 0;) {
    if (tile[t].extent == 1) continue;
    if (count == 0) return refuse();
    ir::LayoutDim& part = parts[count - 1];
    const auto [dimension, unit] = tile[t];
    if (dimension == kCopies) {
      if (part.divisor < buffer.shape[part.axis] || part.extent != unit) return refuse();
      --count;
      continue;
    }
    if (part.axis != dimension || part.divisor != 1 || part.extent % unit != 0) return refuse();
    // A longer part is tiles one after the other.
    if (part.extent == unit) {
      --count;
    } else {
      part = {dimension, unit, part.extent / unit};
    }
  }
  TiledLayout layout;
  std::vector<bool> seen(buffer.shape.size(), false);
  int64_t stride = 1;
  for (size_t i = count; i-- > 0;) {
    const ir::LayoutDim& part = parts[i];
    if (seen[part.axis] || part.divisor != UnitOf(tile, part.axis)) return refuse();
    seen[part.axis] = true;
    layout.dims.push_back({part.axis, part.extent, stride});
    stride *= part.extent;
  }
  for (size_t d = buffer.shape.size(); d-- > 0;) {
    if (!seen[d]) layout.dims.push_back({static_cast<int>(d), 1, stride});
  }
  std::ranges::reverse(layout.dims);
  return layout;
}

}  // namespace tessera::schedule
