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

// The loops of the nest's sum that are around nothing: its results, and operands a and b, if it has
// that. InvalidArgument where a loop cuts tiles.
absl::StatusOr<StepLoops> ProductLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::Target& target);

// Loops around an instruction, and its own.
struct InstructionLoops {
  std::vector<tessera::vta::Loop> around, own;
};
// With as much of `loops` as there is room for made of micro-ops, as the loops of instructions
// begin each turn with an empty pipeline.
InstructionLoops AsMicroOps(absl::Span<const tessera::vta::Loop> loops,
                            const tessera::vta::Config& config);

// Over the region of operand `a`, tile by tile as it lies in memory, with what there is of the mask
// for each.
std::vector<tessera::vta::Loop> WindowLoops(const MemoryPlan& plan);

// Over the results, each with what the root reads of `operand` for it.
absl::StatusOr<StepLoops> OperandLoops(const Nest& nest, const MemoryPlan& plan,
                                       const ir::BufferNode* operand);

}  // namespace tessera::codegen::vta
