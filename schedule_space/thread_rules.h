#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"
#include "schedule_space/config_space.h"

// The sketch rules for GPUs:
//   always-inline    as on CPUs, but padding, which a block may make for its threads
//   cache-write      a reduction that no element-wise stage takes up alone gets a copy out
//   cache-read       operands of reductions that are read more than once may be shared by a block
//   tiling           each reduction and each map that is left is a kernel of tiles for blocks,
//                    virtual threads and threads ("tiled")
//   rfactor, rows    softmax and norms: a block a row, in one kernel ("rows")
//   rfactor, sums    reductions with few results or of terms that are read once: the threads of a
//                    block share them ("sums")
//   rfactor, parts   long reductions with few results: parts of them by blocks of their own, which
//                    another kernel adds up ("parts4", "sums_parts16", …)

namespace tessera::space {

absl::StatusOr<std::vector<Sketch>> GpuSketches(const te::Dag& dag, const ir::Target& target);

}  // namespace tessera::space
