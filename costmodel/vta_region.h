#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

// Parts of tensors that lie in an accelerator's memory, in tiles.

namespace tessera::costmodel {

// Of a tensor's dimension, by which axis of the stage that holds a part of it it is counted:
// position = axis + shift.
struct HeldAxis {
  int axis;
  int64_t shift;
};

struct RegionDim {
  int axis;
  int64_t first, last;  // where the part begins, at least and at most
  int64_t positions;    // different ones, evenly in between
  int64_t count;        // tiles of the part
  int64_t limit;        // tiles of the tensor; beyond there are zeros
  int64_t stride;       // of tiles in DRAM
  int64_t held_stride;  // in the accelerator's memory

  bool IsClipped() const { return first < 0 || last + count > limit; }
  // Tiles of the part that are there, in the mean over all positions.
  double Inside() const;
};
// Outermost first, in DRAM's order.
using Region = absl::InlinedVector<RegionDim, 8>;

// What `stage` holds of `buffer`, stored as the schedule says, each of whose dimensions is an axis
// of it; `units`: elements of a tile along each axis.
Region RegionOf(const schedule::Schedule& schedule, const schedule::BoundStage& stage,
                const ir::Buffer& buffer, absl::Span<const HeldAxis> axes,
                absl::Span<const int64_t> units);

int64_t TilesOf(const Region& region);

// What moves it once.
struct RegionMoves {
  double instructions = 1;  // each of rows of columns
  double rows = 1;          // of all instructions
  double row_tiles = 1;
  double zeros = 0;  // tiles of padding
};
RegionMoves MovesOf(Region region);

}  // namespace tessera::costmodel
