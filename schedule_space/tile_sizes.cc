#include "schedule_space/tile_sizes.h"

#include <algorithm>
#include <bit>

namespace tessera::space {
namespace {

// Of computed positions; 28 in tiles of 6 and 14 in tiles of 5 pass, 7 in tiles of 4 doesn't.
constexpr double kMaxWaste = 0.08;

}  // namespace

double TileWaste(int64_t extent, int64_t tile) {
  const int64_t computed = CeilDiv(extent, tile) * tile;
  return static_cast<double>(computed - extent) / static_cast<double>(computed);
}

std::vector<int64_t> TileSizes(int64_t extent, int64_t limit) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size <= std::min(extent, limit); ++size) {
    if (extent % size == 0 || TileWaste(extent, size) <= kMaxWaste) sizes.push_back(size);
  }
  return sizes;
}

std::vector<int64_t> LaneChoices(int64_t extent, int64_t full) {
  std::vector<int64_t> lanes;
  if (extent >= full) {
    lanes.push_back(full);
  } else {
    lanes.push_back(static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(extent))));
  }
  for (int64_t narrow = lanes[0] / 2; narrow >= std::max<int64_t>(2, full / 4); narrow /= 2) {
    if (extent % lanes[0] != 0 && extent % narrow == 0) {
      lanes.push_back(narrow);
      break;
    }
  }
  return lanes;
}

}  // namespace tessera::space
