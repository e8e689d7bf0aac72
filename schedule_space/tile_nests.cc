#include <algorithm>
#include <iterator>

#include "schedule_space/nest_loops.h"
#include "schedule_space/tile_group_impl.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {

// All loops around and in the reduction (or the store stage), outermost first, in its axes.
TileGroup::Digits TileGroup::Walk(absl::Span<const int> choices, const Tiling& t) const {
  Digits walk;
  for (int a : Ordered(choices, outer_order_)) {
    walk.push_back({a, t.middle[a] * t.region[a] * t.tile[a], t.outer[a]});
  }
  for (int a : Ordered(choices, middle_order_)) {
    walk.push_back({a, t.region[a] * t.tile[a], t.middle[a]});
  }
  const auto regions = [&] {
    for (int a : Ordered(choices, region_order_)) walk.push_back({a, t.tile[a], t.region[a]});
  };
  if (reduce_ >= 0) {
    const Option& reduce = Chosen(choices, reduce_knob_);
    const int first = static_cast<int>(rank());
    const int64_t chunk = reduce[kReduceChunk], inner = reduce[kReduceInner];
    const int64_t unroll = reduce[kReduceUnroll + main_];
    walk.push_back({first + main_, chunk, CeilDiv(reduction_.extents[main_], chunk)});
    regions();
    const int inner_place = static_cast<int>(reduction_.extents.size());
    for (int i = 0; i <= inner_place; ++i) {
      const int place = ReducePlace(choices, i);
      if (place == inner_place) {
        walk.push_back({first + main_, unroll, inner / unroll});
      } else if (place == main_) {
        walk.push_back({first + main_, inner, chunk / inner});
      } else {
        const int64_t u = reduce[kReduceUnroll + place];
        walk.push_back({first + place, u, reduction_.extents[place] / u});
      }
    }
    for (int p = 0; p < inner_place; ++p) walk.push_back({first + p, 1, reduce[kReduceUnroll + p]});
  } else {
    regions();
  }
  for (int a : spatial_) {
    if (a != t.vector_axis) walk.push_back({a, 1, t.tile[a]});
  }
  if (t.vector_axis >= 0) walk.push_back({t.vector_axis, 1, t.tile[t.vector_axis]});
  if (has_dots()) walk.push_back({dot_axis(), 1, dot_extent_});
  return walk;
}

// A sum over one tensor in vectors along what is contiguous there: innermost, whether it is summed
// or not.
schedule::Nest TileGroup::SumNest(int index, int64_t lanes) const {
  const te::Stage& stage = Stage(index);
  const schedule::Access& read = Analysis(index).reads[0];
  const int spatial = static_cast<int>(stage.axes.size());
  const int count = spatial + static_cast<int>(stage.reduce_axes.size());
  const auto extent_of = [&](int axis) {
    return (axis < spatial ? stage.axes[axis] : stage.reduce_axes[axis - spatial]).extent;
  };
  const Contiguous last = ContiguousDim(*read.buffer);
  int vector_axis = -1;
  for (int axis = 0; axis < count && last.dim >= 0; ++axis) {
    if (IsPlain(read.dims[last.dim], axis) && extent_of(axis) > 1) vector_axis = axis;
  }
  schedule::Nest nest{index, {}};
  const bool is_cut = vector_axis >= 0 && extent_of(vector_axis) > lanes;
  for (int axis = 0; axis < count; ++axis) {
    if (axis != vector_axis) {
      nest.loops.push_back(Loop({axis, 1, kRest}));
    } else if (is_cut) {
      nest.loops.push_back(Loop({axis, lanes, kRest}));
    }
  }
  if (vector_axis >= 0) {
    nest.loops.push_back(Loop({vector_axis, 1, is_cut ? lanes : kRest}, ir::LoopKind::kVectorized));
  }
  schedule::LoopState& first = nest.loops.front();
  if (threads_ > 1 && nest.loops.size() > 1 && first.digits[0].axis < spatial) {
    first.kind = ir::LoopKind::kParallel;
  }
  return nest;
}

// The store stage's outer and middle loops. Outer loops of one iteration come after the parallel
// one.
Loops TileGroup::OuterLoops(absl::Span<const int> choices, const Tiling& t) const {
  absl::InlinedVector<int, 8> idle, active;
  for (size_t a = 0; a < rank(); ++a) {
    if (extents_[a] == 1) idle.push_back(static_cast<int>(a));
  }
  for (int a : Ordered(choices, outer_order_)) (t.outer[a] == 1 ? idle : active).push_back(a);
  size_t shared = parallel_knob_ >= 0 ? Chosen(choices, parallel_knob_)[0] : 0;
  shared = std::min(shared, active.size());
  const auto digit = [&](int a) {
    return schedule::Digit{a, t.middle[a] * t.region[a] * t.tile[a], kRest};
  };

  Loops loops;
  loops.reserve(4 * rank() + 1);
  if (shared > 0) {
    loops.push_back(Loop(digit(active[0]), ir::LoopKind::kParallel));
    for (size_t i = 1; i < shared; ++i) loops[0].digits.push_back(digit(active[i]));
  }
  for (int a : idle) loops.push_back(Loop(digit(a)));
  for (size_t i = shared; i < active.size(); ++i) loops.push_back(Loop(digit(active[i])));
  for (int a : Ordered(choices, middle_order_)) {
    AddLoop(loops, {a, t.region[a] * t.tile[a], t.middle[a]});
  }
  return loops;
}

// The store stage's loops inside those.
void TileGroup::AddStoreTile(absl::Span<const int> choices, const Tiling& t, Loops& loops) const {
  for (int a : Ordered(choices, middle_order_)) AddLoop(loops, {a, t.tile[a], t.region[a]});
  for (int a : spatial_) {
    const int64_t lanes = t.LanesOf(a);
    AddLoop(loops, {a, lanes, t.tile[a] / lanes}, ir::LoopKind::kUnrolled);
  }
  if (t.lanes > 1) AddLoop(loops, {t.vector_axis, 1, t.lanes}, ir::LoopKind::kVectorized);
}

Loops TileGroup::ReduceLoops(absl::Span<const int> choices, const Tiling& t) const {
  const Option& reduce = Chosen(choices, reduce_knob_);
  const int first = static_cast<int>(rank());  // reduction axis
  const int inner_place = static_cast<int>(reduction_.extents.size());
  const int64_t chunk = reduce[kReduceChunk], inner = reduce[kReduceInner];
  const int64_t unroll = reduce[kReduceUnroll + main_];
  const bool has_chunks = chunk < reduction_.extents[main_];
  // A region of one tile needs no cut: the axis is the tile.
  const auto is_tile = [&](int a) {
    return t.region[a] == 1 && t.tile[a] > 1 && t.LanesOf(a) == 1;
  };

  Loops loops;
  loops.reserve(2 * (rank() + inner_place) + 3);
  if (has_chunks) loops.push_back(Loop({first + main_, chunk, kRest}));
  for (size_t a = 0; a < rank(); ++a) {
    if (extents_[a] == 1) loops.push_back(Loop({static_cast<int>(a), 1, kRest}));
  }
  for (int a : Ordered(choices, region_order_)) {
    if (!is_tile(a)) loops.push_back(Loop({a, t.tile[a], kRest}));
  }
  for (int i = 0; i <= inner_place; ++i) {
    const int place = ReducePlace(choices, i);
    if (place == inner_place) {
      AddLoop(loops, {first + main_, unroll, inner / unroll});
    } else if (place == main_) {
      AddLoop(loops, {first + main_, inner, has_chunks ? chunk / inner : kRest});
    } else {
      AddLoop(loops, {first + place, reduce[kReduceUnroll + place], kRest});
    }
  }
  for (int r = 0; r < inner_place; ++r) {
    AddLoop(loops, {first + r, 1, reduce[kReduceUnroll + r]}, ir::LoopKind::kUnrolled);
  }
  // All lanes of a vector are of one phase.
  const int64_t phases =
      t.lanes > 1 ? VectorPhases(Analysis(reduce_), t.vector_axis, extents_[t.vector_axis]) : 1;
  const auto add_tile = [&](int a) {
    const int64_t step = t.LanesOf(a) * (a == t.vector_axis ? phases : 1);
    AddLoop(loops, {a, step, is_tile(a) ? kRest : t.tile[a] / step}, ir::LoopKind::kUnrolled);
  };
  const bool vectors_outermost = Chosen(choices, tile_order_)[0] == 1;
  if (t.vector_axis >= 0 && vectors_outermost) add_tile(t.vector_axis);
  for (int a : spatial_) {
    if (a != t.vector_axis) add_tile(a);
  }
  if (t.vector_axis >= 0 && !vectors_outermost) add_tile(t.vector_axis);
  if (t.lanes > 1) {
    AddLoop(loops, {t.vector_axis, 1, phases}, ir::LoopKind::kUnrolled);
    AddLoop(loops, {t.vector_axis, phases, t.lanes}, ir::LoopKind::kVectorized);
  }
  if (has_dots()) loops.push_back(Loop({dot_axis(), 1, kRest}, ir::LoopKind::kVectorized));
  return loops;
}

namespace {

// The loop that has the coarsest digit of the axis.
int OuterLoopOf(const Loops& loops, int axis) {
  const auto found = std::find_if(loops.begin(), loops.end(), [&](const schedule::LoopState& loop) {
    return std::any_of(loop.digits.begin(), loop.digits.end(), [&](const schedule::Digit& digit) {
      return digit.axis == axis && digit.extent == kRest;
    });
  });
  return static_cast<int>(found - loops.begin());
}

}  // namespace

Decisions TileGroup::Decide(absl::Span<const int> choices) const {
  Decisions decisions;
  const Tiling t = Read(choices);
  for (const Block& block : blocks_) {
    const int64_t size = Chosen(choices, block.knob)[0];
    if (size > 1) {
      decisions.layouts.emplace_back(block.buffer,
                                     BlockedLayout(*block.buffer, block.block_axis, size));
    }
  }
  const int computed = reduce_ >= 0 ? reduce_ : store_;
  const Digits walk = Walk(choices, t);
  for (const te::Input& input : base_.inputs()) {
    if (input.buffer->policy != ir::LayoutPolicy::kFree) continue;
    for (const schedule::Access& access : Analysis(computed).reads) {
      if (access.buffer != input.buffer) continue;
      std::vector<ir::LayoutDim> layout = LayoutInLoopOrder(access, walk);
      if (!layout.empty()) decisions.layouts.emplace_back(input.buffer, std::move(layout));
      break;
    }
  }
  for (int index : ordered_) {
    const ir::Buffer& buffer = Stage(index).output();
    for (const schedule::Access& access : Analysis(computed).reads) {
      if (access.buffer == buffer) {
        decisions.layouts.emplace_back(buffer, LayoutInLoopOrder(access, walk));
      }
    }
  }
  schedule::Nest store{store_, OuterLoops(choices, t)};
  std::vector<schedule::Nest> placed;
  const absl::InlinedVector<int, 8> outer = ActiveOuter(choices, t);
  for (size_t i = 0; i < copies_.size(); ++i) {
    const int index = copies_[i];
    std::vector<ir::LayoutDim> layout = CopyLayout(choices, walk, index);
    if (!layout.empty()) decisions.layouts.emplace_back(Stage(index).output(), layout);
    const int64_t element_bits = std::max<int64_t>(8, Stage(index).output()->type.bits);
    const int64_t lanes = has_dots() ? t.lanes * 32 / element_bits : t.lanes;
    const int place =
        place_knob_.empty() ? 0 : std::min(choices[place_knob_[i]], static_cast<int>(outer.size()));
    schedule::Nest copy = CopyNest(index, std::move(layout), lanes, place == 0);
    if (place == 0) {
      decisions.nests.push_back(std::move(copy));
      continue;
    }
    copy.at_stage = store_;
    copy.at_loop = OuterLoopOf(store.loops, outer[place - 1]);
    placed.push_back(std::move(copy));
  }
  for (int index : sums_) decisions.nests.push_back(SumNest(index, t.lanes));
  const int innermost = static_cast<int>(store.loops.size()) - 1;
  AddStoreTile(choices, t, store.loops);
  store.streams = stream_knob_ >= 0 && Chosen(choices, stream_knob_)[0] == 1;
  decisions.nests.push_back(std::move(store));
  if (reduce_ >= 0) {
    schedule::Nest reduce{reduce_, ReduceLoops(choices, t), store_, innermost};
    if (prefetch_knob_ >= 0) reduce.prefetch = static_cast<int>(Chosen(choices, prefetch_knob_)[0]);
    decisions.nests.push_back(std::move(reduce));
  }
  std::move(placed.begin(), placed.end(), std::back_inserter(decisions.nests));
  return decisions;
}

}  // namespace tessera::space
