#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

// Sums of products whose loops waves of threads share out as the instruction wants that multiplies
// matrices. Code generation finds them by what a lowered kernel computes
// (compiler/codegen/gpu/matrix_products.h); spaces make them, and features see them coming.

namespace tessera::space {

// Row and column by place among the sum's axes, term among its reduction's.
struct WaveAxes {
  size_t row, column, term;
  int64_t terms;  // of an instruction
};
inline constexpr int64_t kWaveRows = 8, kWaveColumns = 4;  // threads of a wave along an axis

// Nothing where the stage is no such sum, or fills too little of the instruction.
std::optional<WaveAxes> FindWaveAxes(const schedule::StageState& sum);

// Whether waves multiply matrices for `sum`, which is computed in the kernel whose root is `root`:
// its threads share out rows and columns so, and its innermost loop goes over whole steps of terms
// that nothing tests. What lies beyond an edge is not tested, but computed, where the sum reads
// copies that a block shares and nothing else (`reads_copies`).
bool WavesMultiply(const schedule::Schedule& schedule, const schedule::BoundStage& root,
                   const schedule::BoundStage& sum, bool reads_copies, const ir::Target& target);

}  // namespace tessera::space
