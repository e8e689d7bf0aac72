#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/expr.h"
#include "compiler/vta/instruction.h"

namespace tessera::codegen::vta {

// acc = op(acc, operand), element by element.
struct AluStep {
  tessera::vta::AluOp op;
  const ir::Load* operand = nullptr;  // null: the immediate
  int64_t immediate = 0;
};

// A value computed from `accumulator`, an i32 load in it, step by step; values that i8 holds are
// stored as such. InvalidArgument with the expression where the ALU can't compute it: what is no
// chain of min, max, +, −, shifts to the right and by-constant operands of 16 bits that ends in a
// saturating cast to i8.
absl::StatusOr<std::vector<AluStep>> AluSteps(const ir::Expr& value, const ir::Buffer& accumulator);

}  // namespace tessera::codegen::vta
