#include <algorithm>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/lowering_limits.h"
#include "schedule_space/nest_loops.h"
#include "schedule_space/tile_group_impl.h"
#include "schedule_space/tile_sizes.h"

// Copies of operands: padded, packed, in groups for instructions.

namespace tessera::space {

namespace {

constexpr int64_t kMinPanelReuse = 16;  // reads of each element until the copy is made anew
constexpr double kPlacedWeight = 0.6;   // of all places but the root

}  // namespace

// One knob a copy: how many of the outer loops it is made inside of, for the part that is read
// there; none: once, at the root.
void TileGroup::MakePlaceKnobs() {
  std::vector<Option> options{{0}};
  for (size_t i = 1; i <= spatial_.size(); ++i) options.push_back({static_cast<int64_t>(i)});
  for (int copy : copies_) {
    place_knob_.push_back(static_cast<int>(knobs_.size()));
    knobs_.push_back(
        FreeKnob(absl::StrCat("place.", Analysis(copy).reads[0].buffer->name), {"loops"}, options));
    std::vector<double>& weights = knobs_.back().weights;
    weights.assign(options.size(), kPlacedWeight / static_cast<double>(spatial_.size()));
    weights[0] = 1 - kPlacedWeight;
  }
}

int TileGroup::UsefulPlace(int copy, int place, const Tiling& t, absl::Span<const int> outer,
                           int shared) const {
  place = std::min(place, static_cast<int>(outer.size()));
  if (place > 0) place = std::max(place, shared);
  while (place > 0) {
    const int begin = place == shared ? 0 : place - 1;
    const bool moves = std::any_of(outer.begin() + begin, outer.begin() + place,
                                   [&](int axis) { return !IsRepeated(copy, axis); });
    int64_t reuse = 1;
    for (int a : spatial_) {
      const bool is_outside = std::count(outer.begin(), outer.begin() + place, a) > 0;
      if (IsRepeated(copy, a)) reuse *= is_outside ? CeilDiv(extents_[a], t.outer[a]) : extents_[a];
    }
    if (moves && reuse >= kMinPanelReuse) break;
    place = begin;
  }
  return place;
}

bool TileGroup::IsRepeated(int copy, int axis) const {
  const ir::Buffer& buffer = Stage(copy).output();
  for (const schedule::Access& access : Analysis(reduce_).reads) {
    if (access.buffer != buffer) continue;
    for (const schedule::AxisForm& form : access.dims) {
      if (Uses(form, axis)) return false;
    }
  }
  return true;
}

// The order of the dimensions, but that of the groups is the last.
std::vector<ir::LayoutDim> TileGroup::GroupsInnermost(const schedule::Access& access) const {
  std::vector<ir::LayoutDim> layout, last;
  for (size_t d = 0; d < access.dims.size(); ++d) {
    (Uses(access.dims[d], dot_axis()) ? last : layout)
        .push_back({static_cast<int>(d), 1, access.buffer->shape[d]});
  }
  layout.insert(layout.end(), last.begin(), last.end());
  return layout;
}

// A dimension that vectors of instructions slide along comes right before the groups.
void TileGroup::MoveWindowInside(const schedule::Access& access, int64_t vector_axis,
                                 std::vector<ir::LayoutDim>& layout) const {
  const auto axis = static_cast<int>(vector_axis);
  for (size_t d = 0; d < access.dims.size(); ++d) {
    if (!Uses(access.dims[d], axis) || IsPlain(access.dims[d], axis)) continue;
    const auto place = std::find_if(layout.begin(), layout.end(), [&](const ir::LayoutDim& dim) {
      return dim.axis == static_cast<int>(d);
    });
    const ir::LayoutDim window = *place;
    layout.erase(place);
    ir::LayoutDim& last = layout.back();
    const ir::LayoutDim group{last.axis, 1, dot_extent_};
    if (last.extent == dot_extent_) {
      layout.pop_back();
    } else {
      last = {last.axis, dot_extent_, CeilDiv(last.extent, dot_extent_)};
    }
    layout.push_back(window);
    layout.push_back(group);
  }
}

// The layout of the output of copy `index`; empty: row-major.
std::vector<ir::LayoutDim> TileGroup::CopyLayout(absl::Span<const int> choices, const Digits& walk,
                                                 int index) const {
  const ir::Buffer& buffer = Stage(index).output();
  const ir::Buffer& source = Analysis(index).reads[0].buffer;
  const auto block = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const Block& b) { return b.buffer == source; });
  std::vector<ir::LayoutDim> layout;
  if (has_dots()) {
    for (const schedule::Access& access : Analysis(reduce_).reads) {
      if (access.buffer != buffer) continue;
      const int64_t vector_axis = Chosen(choices, tile_knob_)[kTileVectorAxis];
      if (Chosen(choices, rows_knob_)[0] == 1 && IsRepeated(index, static_cast<int>(vector_axis))) {
        return GroupsInnermost(access);
      }
      layout = LayoutInLoopOrder(access, walk);
      MoveWindowInside(access, vector_axis, layout);
    }
  } else if (block != blocks_.end()) {
    // Padding keeps the order of what it pads.
    const int64_t size = Chosen(choices, block->knob)[0];
    if (size > 1) layout = BlockedLayout(*buffer, block->block_axis, size);
  } else if (source->layout.empty() && !Analysis(index).operations.select) {
    for (const schedule::Access& access : Analysis(reduce_).reads) {
      if (access.buffer == buffer) layout = LayoutInLoopOrder(access, walk);
    }
  } else if (!source->layout.empty()) {
    layout = source->layout;
    for (ir::LayoutDim& dim : layout) {
      bool split = dim.divisor != 1;
      for (const ir::LayoutDim& other : layout) split |= &other != &dim && other.axis == dim.axis;
      if (!split) dim.extent = buffer->shape[dim.axis];
    }
  }
  return layout;
}

namespace {

// The digit that walks through one dimension of a layout: whole steps of the next finer one of its
// axis, even where a block overshoots.
schedule::Digit DigitOf(const std::vector<ir::LayoutDim>& layout, const ir::LayoutDim& dim) {
  const ir::LayoutDim *finer = nullptr, *coarser = nullptr;
  for (const ir::LayoutDim& other : layout) {
    if (other.axis != dim.axis) continue;
    if (other.divisor < dim.divisor && (!finer || other.divisor > finer->divisor)) finer = &other;
    if (other.divisor > dim.divisor && (!coarser || other.divisor < coarser->divisor)) {
      coarser = &other;
    }
  }
  schedule::Digit digit{dim.axis, 1, kRest};
  if (finer != nullptr) {
    const schedule::Digit inner = DigitOf(layout, *finer);
    digit.stride = inner.stride * inner.extent;
  }
  if (coarser != nullptr) digit.extent = coarser->divisor / dim.divisor;
  return digit;
}

}  // namespace

// Loops in storage order; the innermost, contiguous one in vectors.
schedule::Nest TileGroup::CopyNest(int index, std::vector<ir::LayoutDim> layout, int64_t lanes,
                                   bool at_root) const {
  if (layout.empty()) {
    const std::vector<int64_t>& shape = Stage(index).output()->shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      layout.push_back({static_cast<int>(d), 1, shape[d]});
    }
  }
  const bool mixes = MixesRows(index, layout);
  const ir::LayoutDim last = layout.back();
  const int64_t vector = std::min<int64_t>(last.extent, lanes > 1 ? lanes : 16);
  if (last.extent > vector) {
    layout.back().divisor *= vector;
    layout.back().extent = CeilDiv(last.extent, vector);
    layout.push_back({last.axis, last.divisor, vector});
  }
  // Threads share the outermost loop that has anything to share.
  size_t first = 0;
  while (first + 2 < layout.size() && layout[first].extent == 1) ++first;
  std::rotate(layout.begin(), layout.begin() + static_cast<int64_t>(first),
              layout.begin() + static_cast<int64_t>(first) + 1);
  schedule::Nest nest{index, {}};
  for (const ir::LayoutDim& dim : layout) AddLoop(nest.loops, DigitOf(layout, dim));
  if (at_root && threads_ > 1 && nest.loops.size() > 1)
    nest.loops.front().kind = ir::LoopKind::kParallel;
  nest.loops.back().kind = ir::LoopKind::kVectorized;
  if (mixes) nest.loops[nest.loops.size() - 2].kind = ir::LoopKind::kVectorized;
  return nest;
}

// Whether groups are made of elements of as many rows of the source: then the layout's dimension
// before them, which is contiguous in the source, is cut for vectors of it to be interleaved.
bool TileGroup::MixesRows(int index, std::vector<ir::LayoutDim>& layout) const {
  if (!has_dots() || layout.size() < 2 || layout.back().extent != dot_extent_) return false;
  const ir::Buffer& source = Analysis(index).reads[0].buffer;
  const Contiguous last = ContiguousDim(*source);
  ir::LayoutDim& along = layout[layout.size() - 2];
  if (source->policy != ir::LayoutPolicy::kFixed || last.dim != along.axis ||
      along.axis == layout.back().axis || along.divisor != 1) {
    return false;
  }
  int64_t lanes = schedule::kMaxLanes / dot_extent_;
  while (lanes > 1 && along.extent % lanes != 0) lanes /= 2;
  if (lanes < 4) return false;
  if (along.extent > lanes) {
    const ir::LayoutDim inner{along.axis, 1, lanes};
    along.divisor = lanes;
    along.extent /= lanes;
    layout.insert(layout.end() - 1, inner);
  }
  return true;
}

}  // namespace tessera::space
