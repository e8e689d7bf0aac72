#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/accelerator.h"
#include "schedule_space/config_space.h"
#include "schedule_space/group.h"

namespace tessera::space {

// What fills the accumulators of an accelerator with a matrix unit, sums of products, windows or
// widened tensors (schedule::Filling): how much of it lies in the accelerator's memories at once,
// in which order, and what overlaps. Knobs:
//   tile     of each axis, in tiles of the matrix unit: results, and terms of one load; of more
//            than 4096 that fit those with the fewest turns
//   overlap  virtual threads along an axis of results, operands whose loads go to two copies by
//            turns, and an operand that stays while tiles that it is good for are computed
//   order    of tiles
//   steps    the two axes that the instruction's own loops go over: all others become micro-ops
// What doesn't fit the target's memories, or comes back to an accumulator too early, is in no
// domain. ResourceExhausted where nothing fits.
absl::StatusOr<std::unique_ptr<Group>> MakeAcceleratorGroup(schedule::AcceleratorDraft draft,
                                                            const ir::Target& target);

// The one sketch of an accelerator's workload. InvalidArgument, saying why, where it has none.
absl::StatusOr<std::vector<Sketch>> AcceleratorSketches(const te::Dag& dag,
                                                        const ir::Target& target);

}  // namespace tessera::space
