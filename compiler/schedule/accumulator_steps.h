#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/expr.h"

namespace tessera::schedule {

// acc = op(acc, operand), element by element.
struct AccumulatorStep {
  ir::BinaryOp op = ir::BinaryOp::kAdd;  // or kMin, kMax, kShiftRight
  const ir::Load* operand = nullptr;     // null: the immediate
  int64_t immediate = 0;
};

// How an accelerator (targets of kind kVta) computes `value`, of i8, from the load of
// `accumulator`, of i32, in it. InvalidArgument with the expression where it can't: what is no
// chain of min, max,
// +, − and shifts to the right by constants of 16 bits, or of the first three with other tensors of
// i32, that ends in a saturating cast.
absl::StatusOr<std::vector<AccumulatorStep>> AccumulatorSteps(const ir::Expr& value,
                                                              const ir::Buffer& accumulator);

}  // namespace tessera::schedule
