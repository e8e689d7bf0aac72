#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/schedule/product_tiles.h"
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/tiled_layout.h"

// What stages have to be for an accelerator (targets of kind kVta) to have instructions for them.

namespace tessera::schedule {

// That a stage is a part of one input of the workload, element by element, with `padding` exactly
// where it lies beyond that: each dimension of the input is read at an axis of the stage, one for
// one, plus a constant. InvalidArgument, saying how it isn't, else.
absl::Status CheckCopy(const Schedule& schedule, const StageState& copy, int64_t padding = 0);

// How many positions of a copy lie before and behind those of a dimension of its source.
struct Padding {
  int64_t before = 0, behind = 0;
};
Padding PaddingOf(const StageState& copy, int dimension);
// The source's dimensions with any.
std::vector<int> PaddedDimensions(const StageState& copy);

// With what an accelerator's stage pads the operand `a` of these: the largest of a window is not
// changed by the least i8.
inline int64_t PaddingValue(Filling filling) { return filling == Filling::kLargest ? -128 : 0; }

// The axis of `store` for each dimension of `sum`, which it reads once, at its own place.
// InvalidArgument else.
absl::StatusOr<std::vector<int>> StoredAxes(const StageState& store, const ir::Buffer& sum);

// The tile of what `copy` copies that is added to a tile of results, `stored`, of axes of the
// store: its columns last, in front of them its rows, if it has several. `read`: how the store
// reads the copy. Constants without the axis of rows have kCopies of theirs. InvalidArgument where
// the copy is read elsewhere than at axes of the store and constants, or an axis of the tile is not
// exactly one of its dimensions.
absl::StatusOr<Tile> AddedTile(const Schedule& schedule, const StageState& copy, const Access& read,
                               const Tile& stored);

}  // namespace tessera::schedule
