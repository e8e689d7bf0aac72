#pragma once

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/stmt.h"
#include "compiler/te/dag.h"

namespace tessera::te {

// A part of a tensor: an inclusive range in each dimension.
using Box = std::vector<ir::Interval>;

Box WholeBox(const std::vector<int64_t>& shape);
int64_t Points(const Box& box);  // saturates

// Where the elements of a definition's buffer are while a nest runs: those of `box`, row-major in
// `buffer`.
struct Held {
  ir::Buffer buffer;
  Box box;
};
using Holdings = absl::flat_hash_map<const ir::BufferNode*, Held>;

// `stage` as a plain loop nest over the part of it that `holdings` has for its outputs, which is
// the same for each. Everything that it reads has to be in `holdings`.
ir::Stmt StageNest(const Stage& stage, const Holdings& holdings);

}  // namespace tessera::te
