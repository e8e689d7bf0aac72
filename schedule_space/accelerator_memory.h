#pragma once

#include <cstdint>

#include "compiler/ir/target.h"
#include "compiler/schedule/accelerator.h"

namespace tessera::space {

// What a program takes of an accelerator's memories, in tiles, as code generation lays them out
// (compiler/codegen/vta/memory_plan.h).
struct AcceleratorUse {
  int64_t inp = 0, wgt = 0, acc = 0;
};
AcceleratorUse UseOf(const schedule::AcceleratorDraft& draft,
                     const schedule::AcceleratorTiles& tiles, const ir::Target& target);
bool Fits(const AcceleratorUse& use, const ir::Target& target);

// Whether no load lies in the padding alone.
bool LoadsSomething(const schedule::AcceleratorDraft& draft,
                    const schedule::AcceleratorTiles& tiles);

}  // namespace tessera::space
