#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

// What an accelerator's accumulators begin with. Where there is no b, tiles of `a` are multiplied
// by the identity, as accumulators are not loaded from i8.
enum class Filling : uint8_t {
  kProducts,  // sums of products of tiles of a and b
  kDiagonal,  // products channel by channel: tiles of b are diagonals
  kWidened,   // a as it is
  kLargest,   // the largest of a window of a, found by the ALU
};

// How an accelerator's matrix unit computes a stage, tile by tile: which axes run over the rows and
// columns of its tiles. Axes count as in Digit, dimensions are those of the operands.
struct ProductTiles {
  Filling filling = Filling::kProducts;
  ir::Buffer a, b;      // b: null but of products
  int block_axis = -1;  // columns of results, rows of b
  int term_axis = -1;   // columns of a and of b; -1: block_axis is
  int row_axis = -1;    // rows of results and of a; -1: tiles have one row
  int a_term_dim = -1, a_row_dim = -1;
  int b_block_dim = -1, b_term_dim = -1;

  // Whether the identity takes the place of b.
  bool TakesIdentity() const { return b == nullptr; }
  // Elements of `axis` that lie in one of the target's tiles.
  int64_t UnitOf(int axis, const ir::Target& target) const;
};

// Whether a stage is one that fills accumulators: a reduction, or i8 as i32.
bool FillsAccumulators(const te::Stage& stage);

// Requires a target of kind kVta. InvalidArgument, saying why, where the stage is neither a sum of
// products of the target's types (te::TileProduct, te::Unify), nor i8 as i32, nor the largest of
// i8, or no axes are there that tiles divide.
absl::StatusOr<ProductTiles> FindProductTiles(const StageState& sum, const ir::Target& target);

}  // namespace tessera::schedule
