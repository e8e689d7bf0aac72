#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "compiler/schedule/schedule.h"

// The bounded loop structure: what a schedule executes, with every extent known, before vectors
// and unrolled bodies are expanded. Features, loop hash and lowering all start here.

namespace tessera::schedule {

// Buffers that a kernel can be given: inputs, outputs and what is prepared from constants.
inline constexpr size_t kMaxKernelBuffers = 64;

// A loop with its extent. `id` numbers loops over the whole structure.
struct BoundLoop {
  int id;
  int64_t extent;
  bool is_reduction;
  ir::LoopKind kind;
  ir::ThreadAxis thread_axis;
  absl::InlinedVector<Digit, 1> digits;  // extents filled in
};

// One term of an affine value: coefficient × ((loop / divisor) % extent).
struct LoopTerm {
  int loop;  // id
  int64_t divisor;
  int64_t extent;  // of this digit
  int64_t coefficient;
};

// Σ terms + constant.
struct AffineValue {
  absl::InlinedVector<LoopTerm, 4> terms;
  int64_t constant = 0;
};
struct Range {
  int64_t min, max;
};
Range RangeOf(const AffineValue& value);

struct AxisRange {
  AffineValue base;  // first value, in loops of the stages around
  int64_t extent;    // how many values are computed
  bool guarded;      // some computed positions lie outside the axis: test before computing
};

struct BoundStage {
  int stage;                     // index into Schedule::stages()
  std::vector<AxisRange> axes;   // spatial, then reduction
  std::vector<BoundLoop> loops;  // outermost first
  // Where it runs: inside the first `at_depth + 1` loops of bound stage `at` (after what is
  // attached there earlier), or at the root (-1).
  int at = -1;
  int at_depth = -1;
  // kShared: attached, and its own loops are shared out among the threads of a block, all of which
  // read it. Other attached stages are kLocal: each thread computes its own.
  ir::Scope scope = ir::Scope::kGlobal;
  // Computed from constants alone, and not inside of a stage that isn't: once, when constants are
  // packed, and not in each run. Those at the root that runs read are kGlobal. The last ones are
  // left to the run where a kernel would have more than kMaxKernelBuffers.
  bool is_constant = false;
  // Shape of the memory that holds the outputs: the whole array at the root, else the region; of
  // local accumulators up to the end of its last vectors, so that these need no mask.
  std::vector<int64_t> buffer_shape;
};

struct LoopStructure {
  // Execution order: producers before consumers. Inlined stages are absent.
  std::vector<BoundStage> stages;
  int loop_count = 0;
};

// Infers regions from consumers to producers. Requires that every attached stage is read only
// inside its attachment loop. Errors are InvalidArgument naming stage and loop.
absl::StatusOr<LoopStructure> InferBounds(const Schedule& schedule);

// Equal for structures that execute the same loops: loops of extent 1 and names don't count;
// layouts, kinds, placement and the stages' definitions do. Server and builder must agree on it.
uint64_t LoopHash(const Schedule& schedule, const LoopStructure& loops);

// The storage order that the schedule chose for an output of `stage`: of an attached stage, whose
// memory is that of its region, as much of each axis as the region has. Empty: none was chosen.
using StorageOrder = absl::InlinedVector<ir::LayoutDim, 12>;
StorageOrder ChosenLayout(const Schedule& schedule, const BoundStage& stage,
                          const ir::Buffer& buffer);

// The value of each axis of `stage` in terms of loops: base + own digits.
using AxisValues = absl::InlinedVector<AffineValue, 10>;
AxisValues ValuesOfAxes(const BoundStage& stage);

}  // namespace tessera::schedule
