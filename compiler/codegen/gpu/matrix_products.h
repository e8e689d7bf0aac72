#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "compiler/ir/stmt.h"
#include "compiler/ir/target.h"

// Sums of products that the threads of a wave have in common, for an instruction by which they
// compute them together. Found by what they compute: schedules need no name for it.
//
// The instructions are NVIDIA's mma.m16n8k16 of f16 and bf16 and, for numbers that may be rounded
// so (ir/tf32.h), mma.m16n8k8 of TF32 ("Parallel Thread Execution ISA", 9.7.14). Thread 4 g + q of
// a wave holds the sums of rows g and g + 8 and columns 2 q and 2 q + 1 of 16 × 8; that is how a
// loop over their 16, or 8, terms must share them out.

namespace tessera::codegen::gpu {

// An operand: element start + g × line + k × term of the buffer, where g counts rows of A or
// columns of B from an offset that tiles have.
struct MatrixOperand {
  ir::Buffer buffer;
  ir::Expr start;  // of the wave's variable and those of loops around
  int64_t line = 0, term = 0;
};

struct MatrixTile {
  int64_t a_offset, b_offset;  // elements, beside the operands' starts
  // Elements of the sums' buffer: of rows g and g + 8, columns 2 q and 2 q + 1 each.
  std::array<std::array<int64_t, 2>, 2> sums;
};

// For each tile: sums[row][column] += Σ over steps × terms of A[row] × B[column], in f32.
struct MatrixProduct {
  MatrixOperand a, b;  // f16, bf16, or f32 as TF32, both
  int64_t steps = 0;   // of ir::MatrixTerms
  ir::Buffer sums;     // f32, of a thread
  ir::VarRef wave;     // thread.x / 32, in the operands' starts
  std::vector<MatrixTile> tiles;
};

// What `loop`, lowered and unrolled inside, computes, if it is that and the target has the
// instruction. `thread`: bound to thread.x, `threads` of them, with neither y nor z. The caller
// sees to it that all threads of a wave run the loop.
std::optional<MatrixProduct> FindMatrixProduct(const ir::For& loop, const ir::VarRef& thread,
                                               int64_t threads, const ir::Target& target);

}  // namespace tessera::codegen::gpu
