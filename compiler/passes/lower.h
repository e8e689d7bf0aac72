#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::passes {

// The schedule as a program for code generation: parameters are inputs, outputs and what
// LowerPreparation makes, in their stored layout; indices are flat; vector loops are vector
// expressions; unrolled loops are copies; accumulators of register tiles are kLocal buffers with
// constant indices; parallel loops remain For nodes of kind kParallel (outermost only), whose
// Allocate'd buffers are private to an iteration. The program is verified, in debug builds after
// each pass.
absl::StatusOr<ir::Program> Lower(const schedule::Schedule& schedule,
                                  const schedule::LoopStructure& loops, std::string name);

// The stages that depend on constants alone, as a program with the same parameters: it reads
// constants in their stored layout and writes the parameters behind the outputs, and has to run
// once before the program of Lower does. Nothing if there is no such stage.
absl::StatusOr<std::optional<ir::Program>> LowerPreparation(const schedule::Schedule& schedule,
                                                            const schedule::LoopStructure& loops,
                                                            std::string name);

}  // namespace tessera::passes
