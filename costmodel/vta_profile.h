#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/product_tiles.h"
#include "compiler/schedule/schedule.h"

// What programs of a VTA (targets of kind kVta) make its engines do, counted on their loops as
// compiler/codegen/vta makes instructions of them. Cycles are those of vta::Timing's defaults.

namespace tessera::costmodel {

// All loads of one operand, or all stores.
struct VtaTransfer {
  double runs = 0;          // how often; each virtual thread of its own
  double instructions = 0;  // of all runs, as are the following
  double rows = 0;          // that are requested one after the other
  double zeros = 0;         // tiles of padding
  double bytes = 0;
  double cycles = 0;
  double tensor_bytes = 0;   // of the whole tensor
  double tiles = 0;          // of memory that are taken, by all copies
  double contexts = 1;       // virtual threads that have a part of their own
  bool is_doubled = false;   // goes to two copies by turns
  double waited_cycles = 0;  // that the products wait for
};

// Instructions that compute.
struct VtaSteps {
  double instructions = 0;
  double turns = 0;  // of their loops around micro-ops
  double steps = 0;
  double immediate_steps = 0;  // of those, of the ALU with a constant
  double cycles = 0;
};

// The kernel of the most steps; kernels and cycles are of all.
struct VtaProfile {
  VtaTransfer inputs, weights, residuals, added, results;  // residuals: that products add
  VtaSteps products, resets;
  VtaSteps operations;              // of the ALU on results
  VtaSteps windows;                 // of the ALU that finds the largest of windows
  bool loads_inputs_first = false;  // not weights, where both are loaded in the same loop
  double tiles = 0;                 // of results that are computed one after the other
  double virtual_threads = 1;
  double window_tiles = 0;  // of accumulators that hold what windows are of
  double uops = 0;          // of a product
  double held_uops = 0;     // of all instructions at their different places
  double uop_loads = 0;
  double uop_cycles = 0;
  double instructions = 0;
  // Of the engines, if nothing waited.
  double fetch_cycles = 0, load_cycles = 0, compute_cycles = 0, store_cycles = 0;
  double bus_waits = 0;  // cycles that the third of them waits for the second's rows on the bus
  double kernels = 0;
  double cycles = 0;
};

// What the loops of a kernel don't change.
struct VtaForm {
  schedule::ProductTiles product;
  // Steps from accumulators to what is stored: of the ALU with a constant and with a tensor, and of
  // products with the identity (schedule::AccumulatorSteps).
  int immediates = 0, operands = 0, residuals = 0;
};

// Profiles programs, one after another; after a task's first it allocates nothing.
// Thread-compatible: a thread that profiles has its own.
class VtaProfiler {
 public:
  explicit VtaProfiler(const ir::Target& target) : target_(target) {}

  // Nests that no instructions are made of (codegen::vta::Generate says which) count nothing.
  VtaProfile Profile(const schedule::Schedule& schedule, const schedule::LoopStructure& loops);

 private:
  const std::optional<VtaForm>& FormOf(const schedule::StageState& sum,
                                       const schedule::StageState& root);

  const ir::Target target_;
  // The last one asked for.
  std::shared_ptr<const te::Stage> sum_, root_;
  std::optional<VtaForm> form_;
};

}  // namespace tessera::costmodel
