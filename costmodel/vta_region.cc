#include "costmodel/vta_region.h"

#include <algorithm>
#include <ranges>

namespace tessera::costmodel {
namespace {

int64_t FloorDiv(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

RegionDim DimOf(const schedule::AxisRange& range, const HeldAxis& axis, int64_t unit) {
  int64_t least = range.base.constant + axis.shift, most = least, positions = 1;
  for (const schedule::LoopTerm& term : range.base.terms) {
    const int64_t reach = term.coefficient * (term.extent - 1);
    (reach < 0 ? least : most) += reach;
    positions *= term.extent;
  }
  return {.axis = axis.axis,
          .first = FloorDiv(least, unit),
          .last = FloorDiv(most, unit),
          .positions = positions,
          .count = std::max<int64_t>(1, range.extent / unit),
          .limit = 1,
          .stride = 1,
          .held_stride = 1};
}

// Whether `inner` is moved whole, so that both lie in one piece in DRAM and in memory.
bool AreOnePiece(const RegionDim& outer, const RegionDim& inner) {
  return inner.positions == 1 && inner.first == 0 && inner.count == inner.limit &&
         outer.stride == inner.stride * inner.limit &&
         outer.held_stride == inner.held_stride * inner.count && !outer.IsClipped();
}

void Join(Region& region) {
  for (size_t i = region.size() - 1; i-- > 0;) {
    RegionDim& outer = region[i];
    const RegionDim inner = region[i + 1];
    if (!AreOnePiece(outer, inner)) continue;
    outer.first *= inner.limit;
    outer.last *= inner.limit;
    outer.count *= inner.limit;
    outer.limit *= inner.limit;
    outer.stride = inner.stride;
    outer.held_stride = inner.held_stride;
    region.erase(region.begin() + static_cast<int64_t>(i) + 1);
  }
}

}  // namespace

double RegionDim::Inside() const {
  if (!IsClipped()) return static_cast<double>(count);
  const double gaps = static_cast<double>(std::max<int64_t>(positions - 1, 1));
  const double step = static_cast<double>(last - first) / gaps;
  const auto most = static_cast<double>(count);
  double outside = 0;
  for (int64_t i = 0; i < positions; ++i) {
    const double before = -(static_cast<double>(first) + static_cast<double>(i) * step);
    if (before <= 0) break;
    outside += std::min(before, most);
  }
  for (int64_t i = 0; i < positions; ++i) {
    const double behind = static_cast<double>(last + count - limit) - static_cast<double>(i) * step;
    if (behind <= 0) break;
    outside += std::min(behind, most);
  }
  return std::max(0.0, most - outside / static_cast<double>(positions));
}

Region RegionOf(const schedule::Schedule& schedule, const schedule::BoundStage& stage,
                const ir::Buffer& buffer, absl::Span<const HeldAxis> axes,
                absl::Span<const int64_t> units) {
  Region region;
  int64_t stride = 1;
  const auto add = [&](size_t dimension, int64_t tiles) {
    const HeldAxis& axis = axes[dimension];
    region.push_back(DimOf(stage.axes[axis.axis], axis, units[axis.axis]));
    region.back().limit = tiles;
    region.back().stride = stride;
    stride *= tiles;
  };
  // Innermost first; parts within a tile are not DRAM's.
  const auto add_part = [&](const ir::LayoutDim& part) {
    const auto dimension = static_cast<size_t>(part.axis);
    if (part.divisor > 1 && part.divisor >= buffer->shape[dimension]) return;  // copies
    const int64_t unit = units[axes[dimension].axis];
    const int64_t tiles = part.divisor * part.extent / std::max(part.divisor, unit);
    if (tiles > 1) add(dimension, tiles);
  };
  const std::vector<ir::LayoutDim>& stored = schedule.LayoutOf(buffer);
  for (const ir::LayoutDim& part : stored | std::views::reverse) add_part(part);
  for (size_t d = buffer->shape.size(); d-- > 0 && stored.empty();) {
    add_part({static_cast<int>(d), 1, buffer->shape[d]});
  }
  for (size_t d = axes.size(); d-- > 0;) {
    if (std::ranges::find(region, axes[d].axis, &RegionDim::axis) == region.end()) add(d, 1);
  }
  int64_t held = 1;
  for (RegionDim& dim : region) {
    dim.held_stride = held;
    held *= dim.count;
  }
  std::ranges::reverse(region);
  return region;
}

int64_t TilesOf(const Region& region) {
  int64_t tiles = 1;
  for (const RegionDim& dim : region) tiles *= dim.count;
  return tiles;
}

RegionMoves MovesOf(Region region) {
  RegionMoves moves;
  const auto all = static_cast<double>(TilesOf(region));
  Join(region);
  if (region.back().stride == 1) {
    moves.row_tiles = region.back().Inside();
    region.pop_back();
  }
  if (!region.empty()) {
    moves.rows = region.back().Inside();
    region.pop_back();
  }
  for (const RegionDim& dim : region) moves.instructions *= static_cast<double>(dim.count);
  moves.rows *= moves.instructions;
  moves.zeros = all - moves.rows * moves.row_tiles;
  return moves;
}

}  // namespace tessera::costmodel
