#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "compiler/te/dag.h"

namespace tessera::schedule {

// An index as Σ coefficient × axis + constant, over a stage's axes (spatial, then reduction).
struct AxisForm {
  bool affine = false;  // false: any value of the dimension may be read
  int64_t constant = 0;
  absl::InlinedVector<std::pair<int, int64_t>, 3> terms;  // (axis, coefficient), no zeros
  // Of an index that is no such sum (quotients, remainders, gathers): each axis that moves it, with
  // the mean change a step …
  std::vector<std::pair<int, double>> slopes;
  int64_t period = 1;  // … and after how many steps quotients and remainders repeat
  // Of ⌊sum / divisor⌋ and, if `is_remainder`, sum mod divisor: the sum's terms, beside `constant`.
  int64_t divisor = 0;  // 0: the index is neither
  absl::InlinedVector<std::pair<int, int64_t>, 3> dividend;
  bool is_remainder = false;
};

// The axis that the index is, with coefficient 1 and nothing added; -1 if it is something else.
int PlainAxis(const AxisForm& form);
// Whether the index is `axis` alone.
inline bool IsPlain(const AxisForm& form, int axis) { return PlainAxis(form) == axis; }
// Whether `axis` moves the index.
bool Uses(const AxisForm& form, int axis);

// One Load in a stage's bodies.
struct Access {
  ir::Buffer buffer;
  std::vector<AxisForm> dims;
};
// Whether `axis` moves the element that is read; -1, as of no axis, does not.
bool Uses(const Access& access, int axis);

// Reads of one buffer whose indices differ by the constants of affine ones only, as the taps of a
// window do. Those with many others between them may be in two.
struct Window {
  int read;   // the first of them
  int count;  // of them
  // By dimension: the least and the largest constant less that of the first.
  absl::InlinedVector<std::pair<int64_t, int64_t>, 6> offsets;
};

// Arithmetic per evaluation of the bodies (and one combination), by kind. Of a choice that axes
// alone decide one side counts, of each kind the one that has more; the integer operations of what
// decides are addressing, not work.
struct OperationCounts {
  int float_add = 0, float_mul = 0, float_div = 0, float_minmax = 0, float_math = 0;
  int integer = 0, compare = 0, select = 0;
};

// What schedules and features need to know of a stage's definition. Computed once a stage.
struct StageAnalysis {
  std::vector<Access> reads;
  std::vector<Window> windows;                      // of `reads`, by the first of each
  std::vector<const ir::BufferNode*> read_buffers;  // of `reads`, sorted, each once
  OperationCounts operations;
  uint64_t definition_hash = 0;  // of the stage's canonical text
};

std::shared_ptr<const StageAnalysis> Analyze(const te::Stage& stage);

}  // namespace tessera::schedule
