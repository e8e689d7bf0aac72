#pragma once

#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/vta/nest.h"
#include "compiler/schedule/accumulator_steps.h"
#include "compiler/schedule/product_tiles.h"
#include "compiler/schedule/tiled_layout.h"
#include "compiler/vta/code.h"

namespace tessera::codegen::vta {

// What the accelerator's memory holds of a stage's results: its region, tile by tile.
struct Held {
  const ir::BufferNode* buffer = nullptr;
  schedule::Tile tile;
  schedule::AxisValues base;             // where the region begins, in elements
  std::vector<schedule::TiledDim> dims;  // of the region, in the order in which DRAM has them
  int64_t tiles = 0;                     // of a copy
  int allocation = -1;
  std::vector<int> virtual_loops;  // each of whose turns has a copy of its own, ascending
  int turn_loop = -1;              // by whose turns two copies are used; -1: there is one

  int64_t StrideOf(int dimension) const;  // tiles
};

struct MemoryPlan {
  std::map<const ir::BufferNode*, Held> held;
  std::vector<tessera::vta::Allocation> allocations;
  schedule::ProductTiles product;
  // Tiles of weights that are constants: the identity, and what makes 128 of a mask. -1: unused.
  int identity = -1;
  // Of Filling::kLargest: the region of `a` in accumulators, and where of it the tensor is, 2 in
  // each row of a tile, 0 in the padding. The mask is there if the region reaches into padding.
  std::optional<Held> widened, mask;
  std::vector<schedule::AccumulatorStep> alu_steps;  // from the sum to what is stored
  std::vector<int> stored_dims;                      // of the root's output, by those of the sum
  // In DRAM: what copies are of, by the copies' outputs, and the root's output.
  std::map<const ir::BufferNode*, schedule::TiledLayout> sources;
  schedule::TiledLayout stored;

  const Held& of(const ir::BufferNode* buffer) const { return held.at(buffer); }
};

// What a nest keeps where. InvalidArgument where the nest's stages are not of the forms that
// generate.h says, or memory is too small: with what is needed and what there is.
absl::StatusOr<MemoryPlan> PlanMemory(const Nest& nest, const ir::Target& target);

}  // namespace tessera::codegen::vta
