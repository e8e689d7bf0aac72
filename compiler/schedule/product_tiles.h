#pragma once

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

// A sum of products as an accelerator's matrix unit computes it, tile by tile: which axes run over
// the rows and columns of its tiles. Axes count as in Digit, dimensions are those of the operands.
struct ProductTiles {
  ir::Buffer a, b;
  int block_axis = -1;  // columns of results, rows of b
  int term_axis = -1;   // columns of a and of b
  int row_axis = -1;    // rows of results and of a; -1: tiles have one row
  int a_term_dim = -1, a_row_dim = -1;
  int b_block_dim = -1, b_term_dim = -1;

  // Elements of `axis` that lie in one of the target's tiles.
  int64_t UnitOf(int axis, const ir::Target& target) const;
};

// Requires a target of kind kVta. InvalidArgument, saying why, where the stage is no sum of
// products of the target's types (te::TileProduct, te::Unify), or no axes are there that tiles
// divide.
absl::StatusOr<ProductTiles> FindProductTiles(const StageState& sum, const ir::Target& target);

}  // namespace tessera::schedule
