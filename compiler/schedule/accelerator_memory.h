#pragma once

#include <cstdint>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/accelerator.h"

// Which tiles an accelerator can compute.

namespace tessera::schedule {

// What a program takes of an accelerator's memories, in tiles, as code generation lays them out
// (compiler/codegen/vta/memory_plan.h).
struct AcceleratorUse {
  int64_t inp = 0, wgt = 0, acc = 0;
};
AcceleratorUse UseOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                     const ir::Target& target);
bool Fits(const AcceleratorUse& use, const ir::Target& target);

// By how many positions loads are too small to hold more than padding; 0: none is.
int64_t MissingPositions(const AcceleratorDraft& draft, const AcceleratorTiles& tiles);

// The axes of tiles.step_order along which an instruction takes more than one step.
std::vector<int> StepsTaken(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
                            const ir::Target& target);
// Whether there is room for the micro-ops of these, and none comes back to an accumulator too
// early.
bool CanStep(const AcceleratorDraft& draft, const AcceleratorTiles& tiles,
             const ir::Target& target);

// How often a program loads and computes.
int64_t TurnsOf(const AcceleratorDraft& draft, const AcceleratorTiles& tiles);
// More make a program too long, with all the instructions of each.
inline constexpr int64_t kMaxAcceleratorTurns = 1 << 16;

}  // namespace tessera::schedule
