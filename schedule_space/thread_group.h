#pragma once

#include <memory>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"
#include "schedule_space/thread_kernel.h"

namespace tessera::space {

// Kernels of a GPU, each with knobs of its own, which are named after its store where there are
// several.
//
// Tiles: multi-level tiling with threads ("SSSRRSRS"). A block has a tile of each axis of `store`,
// cut first for virtual threads, then for threads, of which each has a small tile of accumulators;
// the reduction goes by chunks, for which the block copies operands into memory that its threads
// share. The number of threads, of accumulators and the shared memory keep to the target by
// construction: an operand whose tile does not fit is read where it is, and a thread has no more
// accumulators, nor loads more ahead, than its registers can hold.
//
// How they read inputs: read_knobs.h.
//
// Shared sums: thread_sum.h. Null where the target has no place for one of these.
//
// `base` outlives the group.
std::unique_ptr<Group> MakeThreadGroup(const schedule::Schedule& base,
                                       std::vector<ThreadKernelSpec> specs,
                                       const ir::Target& target);

}  // namespace tessera::space
