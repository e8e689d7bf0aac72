#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/expr.h"

namespace tessera::schedule {

// acc = op(acc, operand), element by element. An operand of i8 is added by the matrix unit, which
// multiplies it by the identity; all else is the ALU's.
struct AccumulatorStep {
  ir::BinaryOp op = ir::BinaryOp::kAdd;  // or kMin, kMax, kShiftRight
  const ir::Load* operand = nullptr;     // null: the immediate
  int64_t immediate = 0;

  bool AddsBytes() const { return operand != nullptr && operand->buffer->type == ir::Int(8); }
};

// How an accelerator (targets of kind kVta) computes `value`, of i8, from the load of `accumulator`
// in it. InvalidArgument with the expression where it can't: what is no chain of min, max, +, − and
// shifts to the right by constants of 16 bits, or of the first three with other tensors of i32, or
// of + with tensors of i8, that ends in a saturating cast; or the accumulator itself.
absl::StatusOr<std::vector<AccumulatorStep>> AccumulatorSteps(const ir::Expr& value,
                                                              const ir::Buffer& accumulator);

}  // namespace tessera::schedule
