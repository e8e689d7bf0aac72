#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/expr.h"

// Compute definitions: what is computed, without any order. A workload is a DAG of stages.

namespace tessera::te {

struct Axis {
  ir::VarRef var;
  int64_t extent;
};

// A new axis named `name`, with underscores behind it where one of `others` has that name.
Axis MakeAxis(std::string name, int64_t extent,
              std::initializer_list<absl::Span<const Axis>> others);

// How the values over the reduction axes become one. kArgMax/kArgMin reduce pairs (value, index);
// of equal values the smaller index wins.
enum class Combiner : uint8_t { kNone, kSum, kProduct, kMax, kMin, kArgMax, kArgMin };

// One tensor (for tuple combiners: several of the same shape), defined element by element:
//   outputs[k][axes] = combiner over reduce_axes of bodies[k]     (kNone: = bodies[k])
// Bodies read other buffers by ir::Load with one index per logical dimension. Every axis has at
// least extent 1. The stage is named after outputs[0].
struct Stage {
  std::vector<ir::Buffer> outputs;
  std::vector<Axis> axes;  // one per dimension of the outputs
  std::vector<Axis> reduce_axes;
  Combiner combiner = Combiner::kNone;
  std::vector<ir::Expr> bodies;  // one per output
  // Of a sum: its products are made and added as they are written, in any order. Algorithms that
  // round otherwise (Winograd's) are not allowed.
  bool direct = false;

  const std::string& name() const { return outputs[0]->name; }
  const ir::Buffer& output() const { return outputs[0]; }
  bool is_reduction() const { return combiner != Combiner::kNone; }
};

// The value that `combiner` starts from, for output `k` of a tuple.
ir::Expr Identity(Combiner combiner, ir::Type type, int k = 0);
// The combination of two partial values (single-output combiners).
ir::Expr Combine(Combiner combiner, ir::Expr a, ir::Expr b);
// The combination of two partial tuples, one expression an output, for every combiner. A store of
// one of them must not come before the last use of what it overwrites: store from the back.
std::vector<ir::Expr> CombineTuple(Combiner combiner, const std::vector<ir::Expr>& a,
                                   const std::vector<ir::Expr>& b);
// "sum", "max", "argmax", … as Print writes them; "none" for kNone.
std::string_view ToString(Combiner combiner);

struct Input {
  ir::Buffer buffer;
  // A constant's values are known when the library is built (weights): free layout, packed before
  // the timed run.
  bool is_constant = false;
};

// A tensor's elements and the points of a stage's axes times reduce axes, at most.
inline constexpr int64_t kMaxElements = int64_t{1} << 40;
inline constexpr int64_t kMaxStagePoints = int64_t{1} << 56;
inline constexpr int kMaxStages = 512;
inline constexpr int kMaxRank = 16;

// Stages in topological order; every stage is used by a later one or is an output.
struct Dag {
  std::vector<Input> inputs;
  std::vector<Stage> stages;
  std::vector<ir::Buffer> outputs;

  int StageOf(const ir::Buffer& buffer) const;  // index, or -1 for inputs
  int StageNamed(std::string_view name) const;  // index, or -1
};

// A compute definition with shapes and types. `name` is for people and symbols ([a-z0-9_]+); it
// does not count in the identity.
struct Workload {
  std::string name;
  Dag dag;
};

// Canonical text, one definition a line, that ParseWorkload reads back to the same workload:
//   workload conv2d_relu
//   input X: f32[1,64,56,56] blocked(1)
//   const W: f32[64,64,3,3] free
//   stage pad: f32[n:1, c:64, h:58, w:58] = select(…, X[n, c, h - 1, w - 1], 0.0)
//   stage conv: f32[n:1, oc:64, oh:56, ow:56] = sum[ic:64, kh:3, kw:3] (pad[…] * W[…])
//   stage relu: f32[n:1, oc:64, oh:56, ow:56] blocked(1) = max(conv[…], 0.0)
//   output relu
// A sum that has to be direct reads "= direct sum[…] (…)".
// Bodies are in the IR's text (compiler/ir/print.h). A layout reads "layout(0 1/16 2 3 1%16)"; a
// tuple "stage value: f32[m:6], index: i32 = argmax[n:21] (X[m, n], cast(i32, n))".
std::string Print(const Workload& workload);
// Input is hostile: limits are 64 MiB of text, 512 stages, 16 dimensions, 2^40 elements a tensor.
// Errors of form name line and column, faults that Verify finds the stage or tensor.
absl::StatusOr<Workload> ParseWorkload(std::string_view text);

// Within the limits above, names unique and [A-Za-z_][A-Za-z0-9_]* without the words of the text,
// axes used consistently, reads of defined buffers with the right rank, loads in range (where
// affine), types agree, every stage reachable from the outputs.
absl::Status Verify(const Dag& dag);

// Identity: equal for workloads that differ in names only. 16 hex digits by base/hash.h.
uint64_t StructuralHash(const Dag& dag);

// Arithmetic operations on floats (and on integers where the workload is integer) that a run must
// execute: each add, multiply, min, max, division and math call of each stage counts 1; products
// with a tap that is known to be padding (the false side of a Select between a load and zero, or
// the identity of the reduction) and their additions don't count. Padding stages themselves count
// 0. Exact where the conditions compare linear expressions; saturates at the largest int64_t.
int64_t ExecutedOperations(const Dag& dag);

// Bytes of all inputs and outputs, each once.
int64_t MinimumTrafficBytes(const Dag& dag);

}  // namespace tessera::te
