#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/vta/memory_plan.h"
#include "compiler/codegen/vta/nest.h"
#include "compiler/vta/instruction.h"

namespace tessera::codegen::vta {

// Loops over the tiles that instructions work on, with each operand's first tile.
struct StepLoops {
  std::vector<tessera::vta::Loop> loops;  // outermost first, in as few as there have to be
  std::vector<schedule::AffineValue> offsets;
};

// The loops of the nest's sum from loop `leaf` on: its results, and operands a and b.
// InvalidArgument where a loop cuts tiles.
absl::StatusOr<StepLoops> ProductLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::Target& target);

// `loops` with as much of them as there is room for made of micro-ops, as the loops of instructions
// begin each turn with an empty pipeline.
std::vector<tessera::vta::Loop> AsMicroOps(absl::Span<const tessera::vta::Loop> loops,
                                           const tessera::vta::Config& config);

// Over the results, each with what the root reads of `operand` for it.
absl::StatusOr<StepLoops> OperandLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::BufferNode* operand);

}  // namespace tessera::codegen::vta
