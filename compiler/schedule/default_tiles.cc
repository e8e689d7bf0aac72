#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/schedule/accelerator.h"
#include "compiler/schedule/accelerator_memory.h"
#include "compiler/schedule/divisors.h"

namespace tessera::schedule {
namespace {

constexpr int64_t kFewTurns = 1 << 14;

class TileChooser {
 public:
  TileChooser(const AcceleratorDraft& draft, const ir::Target& target)
      : draft_(draft),
        target_(target),
        sum_(*draft.schedule.stages()[draft.sum].stage),
        spatial_(static_cast<int>(sum_.axes.size())) {
    for (int axis = 0; axis < axis_count(); ++axis) {
      const bool is_result = axis < spatial_;
      const int64_t extent = ExtentOf(axis), unit = draft_.product.UnitOf(axis, target_);
      // All of a window: a part of it might lie in the padding alone.
      std::vector<int64_t> sizes = {extent};
      if (is_result || axis == draft_.product.term_axis) {
        sizes = Divisors(extent / unit);
        for (int64_t& size : sizes) size *= unit;
      }
      sizes_.push_back(std::move(sizes));
    }
  }

  AcceleratorTiles Run() const {
    AcceleratorTiles tiles = Least();
    FillPipeline(tiles);
    Grow(tiles);
    if (Works(tiles) && TurnsOf(draft_, tiles) <= kMaxAcceleratorTurns) return tiles;
    // Whoever makes a program of what doesn't work is told why not.
    Found found;
    AcceleratorTiles begun = Least();
    Search(begun, 0, StepOrders(), found);
    return found.tiles ? *std::move(found.tiles) : tiles;
  }

 private:
  struct Found {
    std::optional<AcceleratorTiles> tiles;
    int64_t turns = 0;
  };

  int axis_count() const { return static_cast<int>(sum_.axes.size() + sum_.reduce_axes.size()); }
  int64_t ExtentOf(int axis) const {
    return axis < spatial_ ? sum_.axes[axis].extent : sum_.reduce_axes[axis - spatial_].extent;
  }
  int64_t& SizeOf(AcceleratorTiles& tiles, int axis) const {
    return axis < spatial_ ? tiles.results[axis] : tiles.terms[axis - spatial_];
  }
  bool DoesFit(const AcceleratorTiles& tiles) const {
    return Fits(UseOf(draft_, tiles, target_), target_);
  }
  bool Works(const AcceleratorTiles& tiles) const {
    return DoesFit(tiles) && CanStep(draft_, tiles, target_) &&
           MissingPositions(draft_, tiles) == 0;
  }

  AcceleratorTiles Least() const {
    AcceleratorTiles tiles;
    for (int axis = 0; axis < axis_count(); ++axis) {
      const bool is_result = axis < spatial_;
      (is_result ? tiles.results : tiles.terms).push_back(sizes_[axis].front());
      (is_result ? tiles.tile_order : tiles.step_order).push_back(axis);
    }
    tiles.step_order.insert(tiles.step_order.end(), tiles.tile_order.begin(),
                            tiles.tile_order.end());
    return tiles;
  }

  // As few more results as the pipeline needs before it adds to one again.
  void FillPipeline(AcceleratorTiles& tiles) const {
    int64_t results = 1;
    for (int axis = spatial_ - 1; axis >= 0 && results < target_.pipeline_steps; --axis) {
      const int64_t unit = sizes_[axis].front();
      for (const int64_t size : sizes_[axis]) {
        AcceleratorTiles longer = tiles;
        longer.results[axis] = size;
        if (!DoesFit(longer)) break;
        tiles = std::move(longer);
        if (results * (size / unit) >= target_.pipeline_steps) break;
      }
      results *= tiles.results[axis] / unit;
    }
  }

  // The largest part of a memory that is used.
  double ShareOf(const AcceleratorTiles& tiles) const {
    const AcceleratorUse use = UseOf(draft_, tiles, target_);
    const vta::Config config = ConfigOf(target_);
    const auto part = [&](int64_t used, vta::Memory memory) {
      return static_cast<double>(used) / static_cast<double>(config.Depth(memory));
    };
    return std::max({part(use.inp, vta::Memory::kInp), part(use.wgt, vta::Memory::kWgt),
                     part(use.acc, vta::Memory::kAcc)});
  }

  // Makes loads hold more than padding, then programs short, by the growth of one tile after the
  // other that leaves the most memory free. Stops where nothing more fits.
  void Grow(AcceleratorTiles& tiles) const {
    for (;;) {
      const int64_t missing = MissingPositions(draft_, tiles);
      if (missing == 0 && TurnsOf(draft_, tiles) <= kFewTurns) return;
      std::optional<AcceleratorTiles> best;
      for (int axis = 0; axis < axis_count(); ++axis) {
        AcceleratorTiles longer = tiles;
        int64_t& size = SizeOf(longer, axis);
        const auto next = std::ranges::upper_bound(sizes_[axis], size);
        if (next == sizes_[axis].end()) continue;
        size = *next;
        if (!DoesFit(longer) || !CanStep(draft_, longer, target_)) continue;
        if (missing > 0 && MissingPositions(draft_, longer) >= missing) continue;
        if (!best || ShareOf(longer) < ShareOf(*best)) best = std::move(longer);
      }
      if (!best) return;
      tiles = *std::move(best);
    }
  }

  // Two axes for the instruction's own loops, then terms, then results.
  std::vector<std::vector<int>> StepOrders() const {
    const std::vector<int> plain = Least().step_order;
    std::vector<std::vector<int>> orders = {plain};
    for (int i = 0; i < axis_count(); ++i) {
      for (int j = i + 1; j < axis_count(); ++j) {
        std::vector<int>& order = orders.emplace_back(plain);
        std::stable_partition(order.begin(), order.end(),
                              [&](int axis) { return axis == i || axis == j; });
        std::sort(order.begin(), order.begin() + 2);
      }
    }
    return orders;
  }

  // All tiles, of `axis` and those behind it, until some work in few turns; else `found` has those
  // that work in the fewest. True: it need not go on.
  bool Search(AcceleratorTiles& tiles, int axis, const std::vector<std::vector<int>>& orders,
              Found& found) const {
    if (axis == axis_count()) {
      const int64_t turns = TurnsOf(draft_, tiles);
      if (found.tiles && turns >= found.turns) return false;
      if (MissingPositions(draft_, tiles) > 0) return false;
      for (const std::vector<int>& order : orders) {
        tiles.step_order = order;
        if (!CanStep(draft_, tiles, target_)) continue;
        found = {tiles, turns};
        return turns <= kFewTurns;
      }
      return false;
    }
    const int64_t least = sizes_[axis].front();
    bool is_done = false;
    for (const int64_t size : sizes_[axis]) {
      SizeOf(tiles, axis) = size;
      // What is too large stays so.
      if (is_done || !DoesFit(tiles)) break;
      is_done = Search(tiles, axis + 1, orders, found);
    }
    SizeOf(tiles, axis) = least;
    return is_done;
  }

  const AcceleratorDraft& draft_;
  const ir::Target& target_;
  const te::Stage& sum_;
  const int spatial_;
  std::vector<std::vector<int64_t>> sizes_;  // by axes of the sum, in elements
};

}  // namespace

AcceleratorTiles DefaultTiles(const AcceleratorDraft& draft, const ir::Target& target) {
  return TileChooser(draft, target).Run();
}

}  // namespace tessera::schedule
