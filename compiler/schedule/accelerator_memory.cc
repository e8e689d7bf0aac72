#include "compiler/schedule/accelerator_memory.h"

#include <algorithm>

#include "base/status.h"
#include "compiler/schedule/accelerator_stages.h"

namespace tessera::schedule {
namespace {

const StageState& Stage(const AcceleratorDraft& draft, int stage) {
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

int64_t TilesOf(const Access& access, const Extents& extents, int64_t tile_elements) {
  int64_t elements = 1;
  for (size_t d = 0; d < access.dims.size(); ++d) {
    elements *= RegionOf(access.dims[d], extents, access.buffer->shape[d]);
  }
  return elements / tile_elements;
}

// Of what says where operand a is padded, which has its padded dimensions alone.
int64_t MaskTiles(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  const StageState& copy = Stage(draft, draft.a);
  const Access& access = ReadOf(draft, draft.sum, draft.a);
  const Extents extents = ExtentsOf(draft, tiles, tiles.holds_a);
  int64_t count = tiles.doubles_a ? 2 : 1;
  bool moves = false;
  for (const int dimension : PaddedDimensions(copy)) {
    const int d = copy.analysis->reads[0].dims[dimension].terms[0].first;
    count *= RegionOf(access.dims[d], extents, access.buffer->shape[d]);
    moves |= tiles.virtual_axis >= 0 && Uses(access.dims[d], tiles.virtual_axis);
  }
  return count * (moves ? tiles.virtual_threads : 1);
}

// Tiles of the matrix unit along an axis of the sum.
int64_t StepsAlong(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                   const ir::Target& target, int axis) {
  const auto spatial = static_cast<int>(tiles.results.size());
  return (axis < spatial ? tiles.results[axis] : tiles.terms[axis - spatial]) /
         draft.product.UnitOf(axis, target);
}

}  // namespace

AcceleratorUse UseOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                     const ir::Target& target) {
  const auto operand = [&](int copy, bool holds, bool doubles, int64_t tile_elements) {
    const Access& access = ReadOf(draft, draft.sum, copy);
    const int64_t threads = Uses(access, tiles.virtual_axis) ? tiles.virtual_threads : 1;
    return TilesOf(access, ExtentsOf(draft, tiles, holds), tile_elements) * threads *
           (doubles ? 2 : 1);
  };
  AcceleratorUse use;
  const int64_t block = target.tile_block, rows = target.tile_rows;
  use.inp = operand(draft.a, tiles.holds_a, tiles.doubles_a, rows * block);
  // Of a diagonal there are elements for one row of a tile only.
  const int64_t weights = draft.product.filling == Filling::kDiagonal ? block : block * block;
  if (draft.b >= 0) use.wgt = operand(draft.b, tiles.holds_b, tiles.doubles_b, weights);
  if (NeedsIdentity(draft)) use.wgt += NeedsMask(draft) ? 2 : 1;
  if (NeedsMask(draft)) use.inp += MaskTiles(draft, tiles);
  use.acc = tiles.virtual_threads;
  for (const int64_t extent : tiles.results) use.acc *= extent;
  use.acc /= rows * block;
  // What the ALU finds the largest of, as i32.
  if (draft.product.filling == Filling::kLargest) {
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
    const int row_axis = draft.product.row_axis;
    const bool has_rows = row_axis >= 0 && Uses(access, draft.stored_axes[row_axis]);
    (access.buffer->type == ir::Int(8) ? use.inp : use.acc) +=
        TilesOf(access, of_store, (has_rows ? rows : 1) * block) *
        (Uses(access, virtual_axis) ? tiles.virtual_threads : 1);
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

int64_t MissingPositions(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  const Access& access = ReadOf(draft, draft.sum, draft.a);
  const StageState& copy = Stage(draft, draft.a);
  const Access& source = copy.analysis->reads[0];
  const Extents extents = ExtentsOf(draft, tiles, tiles.holds_a);
  int64_t missing = 0;
  for (size_t d = 0; d < source.dims.size(); ++d) {
    const int axis = source.dims[d].terms[0].first;
    const int64_t region = RegionOf(access.dims[axis], extents, copy.stage->axes[axis].extent);
    const auto [before, behind] = PaddingOf(copy, static_cast<int>(d));
    missing += std::max<int64_t>(0, std::max(before, behind) + 1 - region);
  }
  return missing;
}

std::vector<int> StepsTaken(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                            const ir::Target& target) {
  std::vector<int> taken = tiles.step_order;
  std::erase_if(taken, [&](int axis) { return StepsAlong(draft, tiles, target, axis) == 1; });
  return taken;
}

bool CanStep(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
             const ir::Target& target) {
  // Widening is done in the order of memory, by as many instructions as it takes.
  if (draft.product.filling == Filling::kWidened) return true;
  constexpr int64_t kUopBytes = 4;
  constexpr size_t kInstructionLoops = 2;
  const std::vector<int> taken = StepsTaken(draft, tiles, target);
  const auto spatial = static_cast<int>(tiles.results.size());
  int64_t uops = 1, results = 1;
  bool comes_back = false;
  for (size_t i = taken.size(); i-- > 0;) {
    const int64_t along = StepsAlong(draft, tiles, target, taken[i]);
    if (i >= kInstructionLoops) uops *= along;
    comes_back |= taken[i] >= spatial;
    if (!comes_back) results *= along;
  }
  return uops * kUopBytes <= target.uop_bytes && (!comes_back || results >= target.pipeline_steps);
}

int64_t TurnsOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles) {
  const te::Stage& sum = *Stage(draft, draft.sum).stage;
  int64_t turns = 1;
  for (size_t axis = 0; axis < sum.axes.size(); ++axis) {
    turns *= sum.axes[axis].extent / tiles.results[axis];
  }
  for (size_t r = 0; r < sum.reduce_axes.size(); ++r) {
    turns *= sum.reduce_axes[r].extent / tiles.terms[r];
  }
  return turns;
}

}  // namespace tessera::schedule
