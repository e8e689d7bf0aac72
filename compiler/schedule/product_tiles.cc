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

}  // namespace

int64_t ProductTiles::UnitOf(int axis, const ir::Target& target) const {
  if (axis == block_axis || axis == term_axis) return target.tile_block;
  return axis == row_axis ? target.tile_rows : 1;
}

absl::StatusOr<ProductTiles> FindProductTiles(const StageState& sum, const ir::Target& target) {
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
    if (tiles.term_axis < 0 || tiles.block_axis < 0) {
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
