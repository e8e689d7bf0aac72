#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "schedule_space/layout_rules.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/reduction_knobs.h"
#include "schedule_space/register_tile.h"
#include "schedule_space/tile_group.h"

// The inside of MakeTileGroup: tile_group.cc makes the knobs, tile_nests.cc turns choices into
// loops, tile_copies.cc into those of copies.

namespace tessera::space {

class TileGroup final : public Group {
 public:
  TileGroup(const TileSpec& spec, const ir::Target& target);

  // Every domain offers something.
  bool HasChoices() const;

  const std::vector<Knob>& knobs() const override { return knobs_; }
  void Canonicalize(absl::Span<int> choices) const override;
  Decisions Decide(absl::Span<const int> choices) const override;

 private:
  // What the choices say of each axis.
  struct Tiling {
    absl::InlinedVector<int64_t, 8> outer, middle, region, tile;  // by spatial axis
    int vector_axis;
    int64_t lanes;
    int64_t LanesOf(int axis) const { return axis == vector_axis ? lanes : 1; }
  };
  using Digits = absl::InlinedVector<schedule::Digit, 32>;

  const te::Stage& Stage(int index) const { return *base_.stages()[index].stage; }
  const schedule::StageAnalysis& Analysis(int index) const {
    return *base_.stages()[index].analysis;
  }
  size_t rank() const { return extents_.size(); }
  bool has_dots() const { return !dot_lanes_.empty(); }
  // The reduction axis that an instruction sums, if there is one: the last.
  int dot_axis() const { return static_cast<int>(rank() + reduction_.extents.size()); }

  void MakeTileKnob(const ir::Target& target);
  void MakeRegionKnob(const ir::Target& target);
  void MakeAxisKnobs();
  void MakeReductionKnobs();
  void WeighReductionOrders(Knob& knob) const;
  void MakeParallelKnob();
  void MakeBlockKnobs();
  void MakeStreamKnob(const ir::Target& target);
  void MakePrefetchKnob(const ir::Target& target);
  void MakeRowsKnob();
  void MakePlaceKnobs();
  std::vector<VectorAxis> VectorAxes() const;
  bool SuitsDots(int axis) const;
  bool IsPadded() const;
  bool Overshoots(const Option& tile) const;
  int TiledWindows(const Option& tile) const;

  Tiling Read(absl::Span<const int> choices) const;
  const Option& Chosen(absl::Span<const int> choices, int knob) const {
    return knobs_[knob].options[choices[knob]];
  }
  // Axes in the order of an order knob, over spatial_.
  absl::InlinedVector<int, 8> Ordered(absl::Span<const int> choices, int knob) const;
  void SetOrder(absl::Span<int> choices, int knob, absl::Span<const int> active) const;
  bool HasVectorRows(const Tiling& tiling) const;
  void CanonicalizeReduction(absl::Span<int> choices) const;
  // Outer loops that run more than once, outermost first.
  absl::InlinedVector<int, 8> ActiveOuter(absl::Span<const int> choices,
                                          const Tiling& tiling) const;

  // What runs at a place of the reduction's order: an axis, or the main axis's inner loop, which
  // is numbered after them.
  int ReducePlace(absl::Span<const int> choices, int i) const {
    return reduce_order_ >= 0 ? static_cast<int>(Chosen(choices, reduce_order_)[i]) : i;
  }

  Digits Walk(absl::Span<const int> choices, const Tiling& tiling) const;
  // Whether all along the axis the reduction reads the same of the copy.
  bool IsRepeated(int copy, int axis) const;
  // Of `place` outer loops around the copy those that are worth it; the first `shared` are one.
  int UsefulPlace(int copy, int place, const Tiling& tiling, absl::Span<const int> outer,
                  int shared) const;
  std::vector<ir::LayoutDim> GroupsInnermost(const schedule::Access& access) const;
  void MoveWindowInside(const schedule::Access& access, int64_t vector_axis,
                        std::vector<ir::LayoutDim>& layout) const;
  std::vector<ir::LayoutDim> CopyLayout(absl::Span<const int> choices, const Digits& walk,
                                        int index) const;
  bool MixesRows(int index, std::vector<ir::LayoutDim>& layout) const;
  schedule::Nest CopyNest(int index, std::vector<ir::LayoutDim> layout, int64_t lanes,
                          bool at_root) const;
  schedule::Nest SumNest(int index, int64_t lanes) const;
  Loops OuterLoops(absl::Span<const int> choices, const Tiling& tiling) const;
  void AddStoreTile(absl::Span<const int> choices, const Tiling& tiling, Loops& loops) const;
  Loops ReduceLoops(absl::Span<const int> choices, const Tiling& tiling) const;

  const schedule::Schedule& base_;
  const int reduce_, store_;
  const std::vector<int> copies_, ordered_, untiled_;
  const int64_t max_bodies_;
  const std::vector<int64_t> dot_lanes_;
  const std::vector<int> sums_;
  const bool chunked_;
  const int threads_;
  std::vector<int64_t> extents_;    // of the store stage's axes
  std::vector<std::string> names_;  // of them
  std::vector<std::string> reduce_names_;
  ReductionProblem reduction_;
  int64_t dot_extent_ = 1;
  int main_ = -1;
  std::vector<int> spatial_;  // axes with more than one element

  std::vector<Knob> knobs_;
  int tile_knob_ = -1, region_knob_ = -1, reduce_knob_ = -1, reduce_order_ = -1;
  int outer_order_ = -1, middle_order_ = -1, region_order_ = -1;
  int tile_order_ = -1, parallel_knob_ = -1, stream_knob_ = -1, prefetch_knob_ = -1;
  int rows_knob_ = -1;
  std::vector<int> place_knob_;  // by copy; empty: all at the root
  std::vector<int> axis_knob_;   // by axis, -1 if it has one element
  struct Block {
    ir::Buffer buffer;
    int block_axis;
    int knob;
  };
  std::vector<Block> blocks_;
};

}  // namespace tessera::space
