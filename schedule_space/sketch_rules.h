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
//   winograd         convolutions with constant weights by Winograd's algorithm, in tiles of 2, 3
//                    or 4 ("winograd2", …), and in blocks of tile rows ("winograd4_rows7", …)
//   tensorize        sums of products by the target's instructions for groups of them ("tensor",
//                    "tensor_chunked", with the input read where it is "tensor_direct")
//   product          where several stages reduce, the products among them in register tiles
//                    ("products"), for one block of rows at a time ("products_blocked")
//   rfactor, rows    reductions along contiguous rows, softmax and norms ("rows")
//   plain            what is left is a map: tiles, vectors, threads ("map")

namespace tessera::space {

absl::StatusOr<std::vector<Sketch>> CpuSketches(const te::Dag& dag, const ir::Target& target,
                                                int threads);

}  // namespace tessera::space
