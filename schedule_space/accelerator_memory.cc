#include "schedule_space/accelerator_memory.h"

#include <algorithm>

#include "base/status.h"
#include "compiler/schedule/accelerator_stages.h"

namespace tessera::space {
namespace {

using schedule::AcceleratorDraft;
using schedule::AcceleratorTiles;
using schedule::Access;
using schedule::AxisForm;

const schedule::StageState& Stage(const AcceleratorDraft& draft, int stage) {
  return draft.schedule.stages()[stage];
}

const Access& ReadOf(const AcceleratorDraft& draft, int reader, int copy) {
  const auto& reads = Stage(draft, reader).analysis->reads;
  const auto found = std::ranges::find(reads, Stage(draft, copy).stage->output(), &Access::buffer);
  TESSERA_CHECK(found != reads.end());
  return *found;
}

// Positions of each of the sum's axes that a copy has to have.
using Extents = std::vector<int64_t>;
Extents ExtentsOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles, bool all_terms) {
  Extents extents = tiles.results;
  const te::Stage& sum = *Stage(draft, draft.sum).stage;
  for (size_t r = 0; r < sum.reduce_axes.size(); ++r) {
    extents.push_back(all_terms ? sum.reduce_axes[r].extent : tiles.terms[r]);
  }
  return extents;
}

// How much of a dimension is read where axes have these extents.
int64_t RegionOf(const AxisForm& form, const Extents& extents, int64_t all) {
  if (!form.affine) return all;
  int64_t region = 1;
  for (const auto& [axis, coefficient] : form.terms) {
    region += std::abs(coefficient) * (extents[axis] - 1);
  }
  return std::min(region, all);
}

bool Moves(const Access& access, int axis) {
  return axis >= 0 && std::ranges::any_of(access.dims, [&](const AxisForm& form) {
           return schedule::Uses(form, axis);
         });
}

int64_t TilesOf(const Access& access, const Extents& extents, int64_t tile_elements) {
  int64_t elements = 1;
  for (size_t d = 0; d < access.dims.size(); ++d) {
    elements *= RegionOf(access.dims[d], extents, access.buffer->shape[d]);
  }
  return elements / tile_elements;
}

// Of what says where operand a is padded, which has its padded dimensions alone.
int64_t MaskTiles(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  const schedule::StageState& copy = Stage(draft, draft.a);
  const Access& access = ReadOf(draft, draft.sum, draft.a);
  const Extents extents = ExtentsOf(draft, tiles, tiles.holds_a);
  int64_t count = tiles.doubles_a ? 2 : 1;
  bool moves = false;
  for (const int dimension : schedule::PaddedDimensions(copy)) {
    const int d = copy.analysis->reads[0].dims[dimension].terms[0].first;
    count *= RegionOf(access.dims[d], extents, access.buffer->shape[d]);
    moves |= tiles.virtual_axis >= 0 && schedule::Uses(access.dims[d], tiles.virtual_axis);
  }
  return count * (moves ? tiles.virtual_threads : 1);
}

}  // namespace

AcceleratorUse UseOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                     const ir::Target& target) {
  const auto operand = [&](int copy, bool holds, bool doubles, int64_t tile_elements) {
    const Access& access = ReadOf(draft, draft.sum, copy);
    const int64_t threads = Moves(access, tiles.virtual_axis) ? tiles.virtual_threads : 1;
    return TilesOf(access, ExtentsOf(draft, tiles, holds), tile_elements) * threads *
           (doubles ? 2 : 1);
  };
  AcceleratorUse use;
  const int64_t block = target.tile_block, rows = target.tile_rows;
  use.inp = operand(draft.a, tiles.holds_a, tiles.doubles_a, rows * block);
  // Of a diagonal there are elements for one row of a tile only.
  const int64_t weights =
      draft.product.filling == schedule::Filling::kDiagonal ? block : block * block;
  if (draft.b >= 0) use.wgt = operand(draft.b, tiles.holds_b, tiles.doubles_b, weights);
  if (schedule::NeedsIdentity(draft)) use.wgt += schedule::NeedsMask(draft) ? 2 : 1;
  if (schedule::NeedsMask(draft)) use.inp += MaskTiles(draft, tiles);
  use.acc = tiles.virtual_threads;
  for (const int64_t extent : tiles.results) use.acc *= extent;
  use.acc /= rows * block;
  // What the ALU finds the largest of, as i32.
  if (draft.product.filling == schedule::Filling::kLargest) {
    use.acc += operand(draft.a, tiles.holds_a, /*doubles=*/false, rows * block);
  }
  // What is added is of axes of the store, which the sum has in its own order.
  const te::Stage& store = *Stage(draft, draft.store).stage;
  Extents of_store(store.axes.size(), 1);
  for (size_t d = 0; d < tiles.results.size(); ++d) {
    of_store[draft.stored_axes[d]] = tiles.results[d];
  }
  const int virtual_axis = tiles.virtual_axis < 0 ? -1 : draft.stored_axes[tiles.virtual_axis];
  for (const int copy : draft.added) {
    const Access& access = ReadOf(draft, draft.store, copy);
    (access.buffer->type == ir::Int(8) ? use.inp : use.acc) +=
        TilesOf(access, of_store, rows * block) *
        (Moves(access, virtual_axis) ? tiles.virtual_threads : 1);
  }
  return use;
}

bool Fits(const AcceleratorUse& use, const ir::Target& target) {
  const int64_t block = target.tile_block, rows = target.tile_rows;
  constexpr int64_t kAccumulatorBytes = 4;
  return use.inp * rows * block <= target.inp_bytes &&
         use.wgt * block * block <= target.wgt_bytes &&
         use.acc * rows * block * kAccumulatorBytes <= target.acc_bytes;
}

bool LoadsSomething(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  const Access& access = ReadOf(draft, draft.sum, draft.a);
  const schedule::StageState& copy = Stage(draft, draft.a);
  const Access& source = copy.analysis->reads[0];
  const Extents extents = ExtentsOf(draft, tiles, tiles.holds_a);
  for (size_t d = 0; d < source.dims.size(); ++d) {
    const int axis = source.dims[d].terms[0].first;
    const int64_t region = RegionOf(access.dims[axis], extents, copy.stage->axes[axis].extent);
    const auto [before, behind] = schedule::PaddingOf(copy, static_cast<int>(d));
    if (std::max(before, behind) >= region) return false;
  }
  return true;
}

}  // namespace tessera::space
