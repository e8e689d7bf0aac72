#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"
#include "schedule_space/config_space.h"

// The sketch rules for CPUs, in the order in which they are tried:
//   always-inline    element-wise stages and padding go into their readers, unless that repeats
//                    expensive work
//   cache-write      a reduction that is an output gets a copy out, which it is fused into
//   tiling + fusion  one reduction under one element-wise stage: multi-level tiles ("direct"), with
//                    chunks of the reduction whose accumulators are reloaded ("chunked"), with the
//                    padding materialised ("padded"), with fixed-layout operands packed
//                    ("packed"), and those with chunks
//   winograd         3 × 3 convolutions of stride 1 with constant weights by F(2 × 2, 3 × 3) and
//                    F(4 × 4, 3 × 3) ("winograd2", "winograd4")
//   tensorize        sums of products by the target's instructions for groups of them ("tensor",
//                    "tensor_chunked", with the input read where it is "tensor_direct")
//   rfactor, rows    reductions along contiguous rows, softmax and norms ("rows")
//   plain            what is left is a map: tiles, vectors, threads ("map")

namespace tessera::space {

absl::StatusOr<std::vector<Sketch>> CpuSketches(const te::Dag& dag, const ir::Target& target,
                                                int threads);

}  // namespace tessera::space
