#include "compiler/schedule/product_tiles.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/te/instructions.h"

namespace tessera::schedule {
namespace {

const Access& AccessOf(const StageState& sum, const ir::Load& load) {
  const std::vector<Access>& reads = sum.analysis->reads;
  const auto found = std::ranges::find(reads, load.buffer, &Access::buffer);
  TESSERA_CHECK(found != reads.end());
  return *found;
}

// The dimension that is `axis` alone, where no other has it; -1 if there is none.
int DimensionOf(const Access& access, int axis) {
  int dimension = -1;
  for (size_t d = 0; d < access.dims.size(); ++d) {
    if (!Uses(access.dims[d], axis)) continue;
    if (dimension >= 0 || !IsPlain(access.dims[d], axis)) return -1;
    dimension = static_cast<int>(d);
  }
  return dimension;
}

// The operands in one order; axes that are not found are left out.
ProductTiles Assign(const StageState& sum, const ir::Target& target, const Access& a,
                    const Access& b) {
  ProductTiles tiles;
  tiles.a = a.buffer;
  tiles.b = b.buffer;
  const int spatial = static_cast<int>(sum.stage->axes.size());
  for (int axis = 0; axis < sum.axis_count(); ++axis) {
    const bool is_term = axis >= spatial;
    const int64_t extent =
        is_term ? sum.stage->reduce_axes[axis - spatial].extent : sum.stage->axes[axis].extent;
    const int of_a = DimensionOf(a, axis), of_b = DimensionOf(b, axis);
    const bool fills_block = extent % target.tile_block == 0;
    if (is_term && fills_block && of_a >= 0 && of_b >= 0 && tiles.term_axis < 0) {
      tiles.term_axis = axis;
      tiles.a_term_dim = of_a;
      tiles.b_term_dim = of_b;
    }
    if (!is_term && fills_block && of_b >= 0 && !Uses(a, axis) && tiles.block_axis < 0) {
      tiles.block_axis = axis;
      tiles.b_block_dim = of_b;
    }
    if (!is_term && extent % target.tile_rows == 0 && of_a >= 0 && !Uses(b, axis) &&
        target.tile_rows > 1 && tiles.row_axis < 0) {
      tiles.row_axis = axis;
      tiles.a_row_dim = of_a;
    }
  }
  return tiles;
}

// `e` without what widens it; null if it is no load of i8.
const ir::Load* LoadOfBytes(const ir::Expr& e) {
  const auto* cast = e.As<ir::Cast>();
  const bool widens = cast != nullptr && cast->type == ir::Int(32);
  const auto* load = (widens ? cast->value : e).As<ir::Load>();
  return load != nullptr && load->buffer->type == ir::Int(8) ? load : nullptr;
}

// Of one tensor, whose tiles are those of the results. Channels are the second of three dimensions
// or more (te::MakeWorkload), else the last.
absl::StatusOr<ProductTiles> AssignOne(const StageState& state, const ir::Target& target,
                                       const ir::Load& load, Filling filling) {
  const Access& a = AccessOf(state, load);
  const std::vector<te::Axis>& axes = state.stage->axes;
  ProductTiles tiles{.filling = filling, .a = a.buffer, .b = nullptr};
  tiles.block_axis = axes.size() > 2 ? 1 : static_cast<int>(axes.size()) - 1;
  tiles.a_term_dim = tiles.block_axis < 0 ? -1 : DimensionOf(a, tiles.block_axis);
  const auto refuse = [&](const auto&... why) {
    return absl::InvalidArgumentError(absl::StrCat(state.stage->name(), " ", why...));
  };
  if (tiles.block_axis < 0) return refuse("has no axis, of which one were its channels");
  const te::Axis& channels = axes[tiles.block_axis];
  if (tiles.a_term_dim < 0) {
    return refuse("reads ", a.buffer->name, " across its channels, for which axis ",
                  channels.var->name, " is taken");
  }
  if (channels.extent % target.tile_block != 0) {
    return refuse("has ", channels.extent, " positions of ", channels.var->name,
                  ", which tiles of ", target.tile_block,
                  " don't divide; that axis is taken for channels");
  }
  if (target.tile_rows == 1) return tiles;
  for (int axis = 0; axis < static_cast<int>(axes.size()) && tiles.row_axis < 0; ++axis) {
    const int dimension = DimensionOf(a, axis);
    if (axis == tiles.block_axis || dimension < 0 || axes[axis].extent % target.tile_rows != 0) {
      continue;
    }
    tiles.row_axis = axis;
    tiles.a_row_dim = dimension;
  }
  if (tiles.row_axis < 0) {
    return refuse("has no axis that ", target.tile_rows, " rows of a tile divide");
  }
  return tiles;
}

// Where no axis of terms is there, but one that results and both operands have: channels.
void AssignDiagonal(const StageState& sum, const ir::Target& target, const Access& a,
                    const Access& b, ProductTiles& tiles) {
  const auto spatial = static_cast<int>(sum.stage->axes.size());
  for (int axis = 0; axis < spatial; ++axis) {
    const int of_a = DimensionOf(a, axis), of_b = DimensionOf(b, axis);
    if (of_a < 0 || of_b < 0 || sum.stage->axes[axis].extent % target.tile_block != 0) continue;
    tiles.filling = Filling::kDiagonal;
    tiles.block_axis = axis;
    tiles.a_term_dim = of_a;
    tiles.b_block_dim = tiles.b_term_dim = of_b;
    return;
  }
}

}  // namespace

bool FillsAccumulators(const te::Stage& stage) {
  if (stage.is_reduction()) return true;
  return stage.bodies.size() == 1 && stage.bodies[0].type() == ir::Int(32) &&
         LoadOfBytes(stage.bodies[0]) != nullptr;
}

int64_t ProductTiles::UnitOf(int axis, const ir::Target& target) const {
  if (axis == block_axis || axis == term_axis) return target.tile_block;
  return axis == row_axis ? target.tile_rows : 1;
}

absl::StatusOr<ProductTiles> FindProductTiles(const StageState& sum, const ir::Target& target) {
  const te::Stage& stage = *sum.stage;
  const ir::Load* load = stage.bodies.size() == 1 ? LoadOfBytes(stage.bodies[0]) : nullptr;
  if (load != nullptr && !stage.is_reduction()) {
    return AssignOne(sum, target, *load, Filling::kWidened);
  }
  if (load != nullptr && stage.combiner == te::Combiner::kMax) {
    return AssignOne(sum, target, *load, Filling::kLargest);
  }
  const te::Instruction product = te::TileProduct(target);
  const std::string& name = sum.stage->name();
  const std::vector<te::Operands> matches =
      sum.stage->combiner == te::Combiner::kSum && sum.stage->bodies.size() == 1
          ? te::Unify(product, sum.stage->bodies[0])
          : std::vector<te::Operands>{};
  std::string why =
      "is no sum of products i8 * i8 of two tensors in i32, which is what the accelerator computes "
      "(dtype=i8)";
  for (const te::Operands& match : matches) {
    const auto *a = match.a.As<ir::Load>(), *b = match.b.As<ir::Load>();
    if (a == nullptr || b == nullptr || a->buffer == b->buffer) continue;
    ProductTiles tiles = Assign(sum, target, AccessOf(sum, *a), AccessOf(sum, *b));
    if (tiles.term_axis < 0 && tiles.block_axis < 0) {
      AssignDiagonal(sum, target, AccessOf(sum, *a), AccessOf(sum, *b), tiles);
    }
    const bool is_diagonal = tiles.filling == Filling::kDiagonal;
    if (!is_diagonal && (tiles.term_axis < 0 || tiles.block_axis < 0)) {
      why = absl::StrCat("has no ", tiles.term_axis < 0 ? "reduction axis" : "axis of results",
                         " that tiles of ", target.tile_block, " divide");
    } else if (target.tile_rows > 1 && tiles.row_axis < 0) {
      why = absl::StrCat("has no axis that ", target.tile_rows, " rows of a tile divide");
    } else {
      return tiles;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(name, " ", why));
}

}  // namespace tessera::schedule
