#pragma once

#include <cstddef>
#include <functional>

#include "compiler/ir/expr.h"
#include "compiler/schedule/loop_structure.h"

// The calls of stages that libraries of others compute (schedule/external.h).

namespace tessera::passes {

// How many of the stage's outer loops are around its calls.
size_t LoopsAroundCall(const schedule::Schedule& schedule, const schedule::BoundStage& stage);

// What a stage reads and makes in the first turn of the loops inside of those.
struct FirstElements {
  std::function<ir::Expr(const ir::Load&)> Of;  // of a load in the stage's body
  ir::Expr result;
};

// The call that takes the place of all loops inside of those. Requires a stage of an external step
// that InferBounds let pass.
ir::Expr MakeExternalCall(const schedule::Schedule& schedule, const schedule::BoundStage& stage,
                          const FirstElements& first);

}  // namespace tessera::passes
