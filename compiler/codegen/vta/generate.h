#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/vta/code.h"

// Schedules as programs for the Versatile Tensor Accelerator.

namespace tessera::codegen::vta {

// A nest at the root with all that is computed inside of it.
struct Kernel {
  tessera::vta::Code code;
  std::vector<int> arguments;  // of its buffers: the workload's inputs, then its outputs
};

// One kernel a root nest; each begins when the one before has ended. What a nest is made of:
//   - its stage, elementwise: ALU instructions on accumulators, in place, and what stores them;
//   - inside of it what fills accumulators (schedule::FindProductTiles): GEMM instructions, of the
//     largest of a window ALU's. Of its loops those around what it loads become the program's, the
//     outer two of the others the instruction's, the rest micro-ops;
//   - copies of operands, inside of the sum or around it, zeros where they lie outside of the
//     tensor: loads, of what the nest's stage adds too. double_buffer: two of them by turns.
// Loops bound to `virtual` become interleaved instructions on memory of their own.
// InvalidArgument naming stage, value and limit where a nest is not of this form, its tiles don't
// fit the target's memories, or steps say what an accelerator has nothing for (stream, prefetch,
// read_through).
absl::StatusOr<std::vector<Kernel>> Generate(const schedule::Schedule& schedule,
                                             const schedule::LoopStructure& loops,
                                             const ir::Target& target);

}  // namespace tessera::codegen::vta
