#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "schedule_space/steps.h"
#include "schedule_space/tile_group_impl.h"
#include "schedule_space/tile_sizes.h"

namespace tessera::space {

LoopLevels TileGroup::Split(schedule::Trace& steps, const std::string& stage,
                            const std::string& axis, absl::Span<const int64_t> factors) const {
  LoopLevels levels;
  std::vector<int64_t> real;
  for (int64_t factor : factors) {
    if (factor > 1) real.push_back(factor);
  }
  levels.outer = real.empty() ? axis : axis + ".0";
  int number = 0;
  for (int64_t factor : factors) {
    levels.inner.push_back(factor > 1 ? absl::StrCat(axis, ".", ++number) : std::string());
  }
  if (!real.empty()) steps.push_back(SplitStep(stage, axis, std::move(real)));
  return levels;
}

// All loops around and in the reduction (or the store stage), outermost first, in its axes.
std::vector<NestDigit> TileGroup::Nest(absl::Span<const int> choices, const Tiling& t) const {
  std::vector<NestDigit> nest;
  for (int a : Ordered(choices, outer_order_)) {
    nest.push_back({a, t.middle[a] * t.region[a] * t.tile[a], t.outer[a]});
  }
  for (int a : Ordered(choices, middle_order_)) {
    nest.push_back({a, t.region[a] * t.tile[a], t.middle[a]});
  }
  const auto regions = [&] {
    for (int a : Ordered(choices, region_order_)) nest.push_back({a, t.tile[a], t.region[a]});
  };
  if (reduce_ >= 0) {
    const Option& reduce = Chosen(choices, reduce_knob_);
    const int first = static_cast<int>(rank());
    const int64_t chunk = reduce[kReduceChunk], inner = reduce[kReduceInner];
    const int64_t unroll = reduce[kReduceUnroll + main_];
    nest.push_back({first + main_, chunk, CeilDiv(reduction_.extents[main_], chunk)});
    regions();
    const int inner_place = static_cast<int>(reduce_names_.size());
    for (int place = 0; place <= inner_place; ++place) {
      const int p =
          reduce_order_ >= 0 ? static_cast<int>(Chosen(choices, reduce_order_)[place]) : place;
      if (p == inner_place) {
        nest.push_back({first + main_, unroll, inner / unroll});
      } else if (p == main_) {
        nest.push_back({first + main_, inner, chunk / inner});
      } else {
        const int64_t u = reduce[kReduceUnroll + p];
        nest.push_back({first + p, u, reduction_.extents[p] / u});
      }
    }
    for (int p = 0; p < inner_place; ++p) nest.push_back({first + p, 1, reduce[kReduceUnroll + p]});
  } else {
    regions();
  }
  for (int a : spatial_) {
    if (a != t.vector_axis) nest.push_back({a, 1, t.tile[a]});
  }
  if (t.vector_axis >= 0) nest.push_back({t.vector_axis, 1, t.tile[t.vector_axis]});
  return nest;
}

void TileGroup::DecideCopies(absl::Span<const int> choices, const Tiling& t,
                             const std::vector<NestDigit>& nest, Decisions& decisions) const {
  for (int index : copies_) {
    const te::Stage& stage = Stage(index);
    const ir::Buffer& buffer = stage.output();
    std::vector<ir::LayoutDim> layout;
    const schedule::Access& source = Analysis(index).reads[0];
    const auto block = std::find_if(blocks_.begin(), blocks_.end(),
                                    [&](const Block& b) { return b.buffer == source.buffer; });
    if (block != blocks_.end()) {
      // Padding keeps the order of what it pads.
      const int64_t size = Chosen(choices, block->knob)[0];
      if (size > 1) layout = BlockedLayout(*buffer, block->block_axis, size);
    } else if (source.buffer->layout.empty() && !Analysis(index).operations.select) {
      for (const schedule::Access& access : Analysis(reduce_).reads) {
        if (access.buffer == buffer) layout = LayoutInLoopOrder(access, nest);
      }
    } else if (!source.buffer->layout.empty()) {
      layout = source.buffer->layout;
      for (ir::LayoutDim& dim : layout) {
        bool split = dim.divisor != 1;
        for (const ir::LayoutDim& other : layout) split |= &other != &dim && other.axis == dim.axis;
        if (!split) dim.extent = buffer->shape[dim.axis];
      }
    }
    if (layout.empty()) {
      for (size_t d = 0; d < buffer->shape.size(); ++d) {
        layout.push_back({static_cast<int>(d), 1, buffer->shape[d]});
      }
    } else {
      decisions.layouts.emplace_back(buffer, layout);
    }
    // Loops in storage order; the innermost, contiguous one in vectors.
    std::vector<std::vector<int64_t>> factors(buffer->shape.size());
    const ir::LayoutDim last = layout.back();  // a copy: push_back moves the elements
    const int64_t vector = std::min<int64_t>(last.extent, t.lanes > 1 ? t.lanes : 16);
    const bool cut = last.extent > vector;
    if (cut) {
      layout.push_back({last.axis, last.divisor, vector});
      layout[layout.size() - 2].divisor *= vector;
      layout[layout.size() - 2].extent = CeilDiv(last.extent, vector);
    }
    std::vector<std::string> order(layout.size());
    for (size_t d = 0; d < buffer->shape.size(); ++d) {
      std::vector<size_t> places;  // of this axis's digits, outermost first
      for (size_t i = 0; i < layout.size(); ++i) {
        if (layout[i].axis == static_cast<int>(d)) places.push_back(i);
      }
      std::sort(places.begin(), places.end(),
                [&](size_t a, size_t b) { return layout[a].divisor > layout[b].divisor; });
      const std::string& axis = stage.axes[d].var->name;
      std::vector<int64_t> cuts;
      for (size_t i = 1; i < places.size(); ++i) {
        cuts.push_back(layout[places[i - 1]].divisor / layout[places[i]].divisor);
      }
      if (cuts.empty()) {
        order[places[0]] = axis;
        continue;
      }
      decisions.steps.push_back(SplitStep(stage.name(), axis, cuts));
      for (size_t i = 0; i < places.size(); ++i) order[places[i]] = absl::StrCat(axis, ".", i);
    }
    // Threads share the outermost loop that has anything to share.
    size_t first = 0;
    while (first + 2 < layout.size() && layout[first].extent == 1) ++first;
    std::rotate(order.begin(), order.begin() + static_cast<int64_t>(first),
                order.begin() + static_cast<int64_t>(first) + 1);
    const std::string innermost = order.back(), outermost = order.front();
    const bool parallel = threads_ > 1 && order.size() > 1;
    if (order.size() > 1) decisions.steps.push_back(ReorderStep(stage.name(), std::move(order)));
    if (parallel) decisions.steps.push_back(ParallelStep(stage.name(), outermost));
    decisions.steps.push_back(VectorizeStep(stage.name(), innermost));
  }
}

void TileGroup::DecideStore(absl::Span<const int> choices, const Tiling& t,
                            Decisions& decisions) const {
  schedule::Trace& steps = decisions.steps;
  const std::string& stage = Stage(store_).name();
  std::vector<std::string> order, unrolled;
  std::vector<LoopLevels> levels(rank());
  std::string vector_loop;
  for (size_t a = 0; a < rank(); ++a) {
    const bool wide = static_cast<int>(a) == t.vector_axis && t.lanes > 1;
    levels[a] = wide ? Split(steps, stage, names_[a],
                             {t.middle[a], t.region[a], t.tile[a] / t.lanes, t.lanes})
                     : Split(steps, stage, names_[a], {t.middle[a], t.region[a], t.tile[a]});
    if (wide) vector_loop = levels[a].inner[3];
    if (extents_[a] == 1) order.push_back(levels[a].outer);
  }
  // Loops of extent 1 stay outermost of their level, where the parallel loop takes them along.
  std::vector<std::string> parallel;
  const size_t fused = parallel_knob_ >= 0 ? Chosen(choices, parallel_knob_)[0] : 0;
  size_t active = 0;
  const absl::InlinedVector<int, 8> outer = Ordered(choices, outer_order_);
  for (int a : outer) {
    if (t.outer[a] == 1) order.push_back(levels[a].outer);
  }
  const size_t idle = order.size();
  for (int a : outer) {
    if (t.outer[a] == 1) continue;
    order.push_back(levels[a].outer);
    if (active++ < fused) parallel.push_back(levels[a].outer);
  }
  if (!parallel.empty())
    std::rotate(order.begin(), order.begin() + idle, order.begin() + idle + parallel.size());
  const auto add_level = [&](int level) {
    for (int a : Ordered(choices, middle_order_)) {
      const std::string& name = levels[a].inner[level];
      if (!name.empty()) order.push_back(name);
    }
  };
  add_level(0);
  const std::string at = order.back();
  add_level(1);
  for (int a : spatial_) {
    if (!levels[a].inner[2].empty()) {
      order.push_back(levels[a].inner[2]);
      unrolled.push_back(order.back());
    }
  }
  if (!vector_loop.empty()) order.push_back(vector_loop);
  std::string attach = at;
  steps.push_back(ReorderStep(stage, order));
  if (!parallel.empty()) {
    std::string name = parallel[0];
    if (parallel.size() > 1) {
      name = absl::StrJoin(parallel, "+");
      if (std::find(parallel.begin(), parallel.end(), at) != parallel.end()) attach = name;
      steps.push_back(FuseStep(stage, std::move(parallel)));
    }
    steps.push_back(ParallelStep(stage, std::move(name)));
  }
  for (std::string& loop : unrolled) steps.push_back(UnrollStep(stage, std::move(loop)));
  if (!vector_loop.empty()) steps.push_back(VectorizeStep(stage, std::move(vector_loop)));
  if (reduce_ >= 0) steps.push_back(ComputeAtStep(Stage(reduce_).name(), stage, attach));
}

void TileGroup::DecideReduce(absl::Span<const int> choices, const Tiling& t,
                             Decisions& decisions) const {
  schedule::Trace& steps = decisions.steps;
  const std::string& stage = Stage(reduce_).name();
  const Option& reduce = Chosen(choices, reduce_knob_);
  std::vector<std::string> order, unrolled;
  std::vector<LoopLevels> levels(rank());
  std::string vector_loop;
  for (size_t a = 0; a < rank(); ++a) {
    const bool wide = static_cast<int>(a) == t.vector_axis && t.lanes > 1;
    if (wide) {
      levels[a] = Split(steps, stage, reduce_spatial_[a], {t.tile[a] / t.lanes, t.lanes});
      vector_loop = levels[a].inner[1];
      continue;
    }
    // A region of one tile needs no cut: the axis is the tile.
    const bool whole = t.region[a] == 1 && t.tile[a] > 1;
    levels[a] = whole ? LoopLevels{"", {reduce_spatial_[a]}}
                      : Split(steps, stage, reduce_spatial_[a], {t.tile[a]});
  }
  const size_t inner_place = reduce_names_.size();
  std::vector<std::string> places(inner_place + 1), bodies(inner_place);
  std::string chunks;
  for (size_t r = 0; r < inner_place; ++r) {
    const int64_t unroll = reduce[kReduceUnroll + r];
    if (static_cast<int>(r) != main_) {
      const LoopLevels made = Split(steps, stage, reduce_names_[r], {unroll});
      places[r] = made.outer;
      bodies[r] = made.inner[0];
      continue;
    }
    const int64_t chunk = reduce[kReduceChunk], inner = reduce[kReduceInner];
    if (chunk < reduction_.extents[r]) {
      const LoopLevels made =
          Split(steps, stage, reduce_names_[r], {chunk / inner, inner / unroll, unroll});
      chunks = made.outer;
      places[r] = made.inner[0];
      places[inner_place] = made.inner[1];
      bodies[r] = made.inner[2];
    } else {
      const LoopLevels made = Split(steps, stage, reduce_names_[r], {inner / unroll, unroll});
      places[r] = made.outer;
      places[inner_place] = made.inner[0];
      bodies[r] = made.inner[1];
    }
  }
  if (!chunks.empty()) order.push_back(chunks);
  for (size_t a = 0; a < rank(); ++a) {
    if (extents_[a] == 1) order.push_back(levels[a].outer);
  }
  for (int a : Ordered(choices, region_order_)) {
    if (!levels[a].outer.empty()) order.push_back(levels[a].outer);
  }
  for (size_t i = 0; i <= inner_place; ++i) {
    const size_t place = reduce_order_ >= 0 ? Chosen(choices, reduce_order_)[i] : i;
    if (!places[place].empty()) order.push_back(places[place]);
  }
  for (const std::string& body : bodies) {
    if (!body.empty()) unrolled.push_back(body);
  }
  const std::string rows_of_vectors = t.vector_axis >= 0 ? levels[t.vector_axis].inner[0] : "";
  const bool vectors_outermost = Chosen(choices, tile_order_)[0] == 1;
  if (vectors_outermost && !rows_of_vectors.empty()) unrolled.push_back(rows_of_vectors);
  for (int a : spatial_) {
    const std::string& loop = levels[a].inner[0];
    if (!loop.empty() && loop != rows_of_vectors) unrolled.push_back(loop);
  }
  if (!vectors_outermost && !rows_of_vectors.empty()) unrolled.push_back(rows_of_vectors);
  order.insert(order.end(), unrolled.begin(), unrolled.end());
  if (!vector_loop.empty()) order.push_back(vector_loop);
  steps.push_back(ReorderStep(stage, std::move(order)));
  for (std::string& loop : unrolled) steps.push_back(UnrollStep(stage, std::move(loop)));
  if (!vector_loop.empty()) steps.push_back(VectorizeStep(stage, std::move(vector_loop)));
}

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
  const std::vector<NestDigit> nest = Nest(choices, t);
  for (const te::Input& input : base_.inputs()) {
    if (input.buffer->policy != ir::LayoutPolicy::kFree) continue;
    for (const schedule::Access& access : Analysis(computed).reads) {
      if (access.buffer != input.buffer) continue;
      std::vector<ir::LayoutDim> layout = LayoutInLoopOrder(access, nest);
      if (!layout.empty()) decisions.layouts.emplace_back(input.buffer, std::move(layout));
      break;
    }
  }
  DecideCopies(choices, t, nest, decisions);
  DecideStore(choices, t, decisions);
  if (reduce_ >= 0) DecideReduce(choices, t, decisions);
  return decisions;
}

}  // namespace tessera::space
