#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// Stages that are one kernel of a GPU.
struct ThreadTileSpec {
  int store = -1;   // the stage at the root: its axes are shared out
  int reduce = -1;  // summed up by each thread where `store` reads it; -1: there is none, or
                    // `store` reduces itself
  std::vector<int> copies;  // of operands of `reduce`: by a block for its threads, or inlined
};

// Multi-level tiling with threads ("SSSRRSRS"): a block has a tile of each axis of `store`, cut
// first for virtual threads, then for threads, of which each has a small tile of accumulators; the
// reduction goes by chunks, for which the block copies operands into memory that its threads share.
// The number of threads, of accumulators and the shared memory keep to the target by construction:
// an operand whose tile does not fit is read where it is.
// `base` outlives the group. Knobs are named after the store where there are several specs.
std::unique_ptr<Group> MakeThreadGroup(const schedule::Schedule& base,
                                       std::vector<ThreadTileSpec> specs, const ir::Target& target);

}  // namespace tessera::space
