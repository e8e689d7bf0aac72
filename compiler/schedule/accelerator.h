#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/product_tiles.h"
#include "compiler/schedule/schedule.h"
#include "compiler/vta/config.h"

// How workloads are scheduled for an accelerator with a matrix unit (targets of kind kVta), as the
// default trace and spaces have it in common.

namespace tessera::schedule {

// The target's configuration.
vta::Config ConfigOf(const ir::Target& target);

// A workload with its operands copied and laid out as such a target's memory needs them, before its
// loops are arranged. Stages are those of `schedule`.
struct AcceleratorDraft {
  Schedule schedule;
  Trace steps;             // that made it
  int store = -1;          // elementwise: what becomes of the sums
  int sum = -1;            // what fills the accumulators
  int a = -1, b = -1;      // copies of its operands; b: -1 where it has one
  std::vector<int> added;  // copies of what `store` adds
  ProductTiles product;
  std::vector<int> stored_axes;  // of `store`, by dimensions of the sum
};

// Whether the programs multiply by the identity, for which there is a tile of weights.
bool NeedsIdentity(const AcceleratorDraft& draft);
// Whether padding isn't what loads put there: programs load a mask of where it is, too.
bool NeedsMask(const AcceleratorDraft& draft);

// InvalidArgument, saying why, where the workload is not one sum of products, one largest of a
// window or one tensor of i8, each of which the target's tiles divide, and an elementwise rest, its
// tensors are stored otherwise and may not be changed, or no program can be encoded for the target.
absl::StatusOr<AcceleratorDraft> DraftForAccelerator(const te::Dag& dag, const ir::Target& target);

// What is computed at once, and in which order. Sizes are of elements, and divide their axes.
struct AcceleratorTiles {
  std::vector<int64_t> results;  // along each axis of the sum: accumulators of a virtual thread
  std::vector<int64_t> terms;    // along each of its reduction axes: those of one load
  int virtual_axis = -1;         // -1: there is one thread
  int64_t virtual_threads = 1;   // each with the next tile along that axis
  std::vector<int> tile_order;   // the sum's axes, by tiles, outermost first
  std::vector<int> step_order;   // all of its axes, within a tile and a load
  bool holds_a = false;  // a is loaded as soon as what it depends on is known, with all its terms
  bool holds_b = false;
  bool doubles_a = false;  // loads of the next turn overlap with this one's work
  bool doubles_b = false;
};

// The nests that arrange the draft's loops so, consumers first, for Schedule::SetNest.
std::vector<Nest> AcceleratorNests(const AcceleratorDraft& draft, const AcceleratorTiles& tiles);

// Small tiles, which hardly any configuration has no memory for, but as large as it takes for a
// program that is not long and loads no padding alone.
AcceleratorTiles DefaultTiles(const AcceleratorDraft& draft, const ir::Target& target);

}  // namespace tessera::schedule
