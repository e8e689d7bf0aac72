#pragma once

#include <cstdint>
#include <optional>

#include "compiler/ir/expr.h"

// A product of matrices of f32 that a library computes: a Call for its effect, which stores.

namespace tessera::ir {

inline constexpr char kMatrixCall[] = "openblas_sgemm";

// C[i, j] = Σ_l A[i, l] · B[l, j] for i < rows, j < columns, l < terms; nothing of C is read. Each
// matrix is given by its first element and by how many elements lie between the beginnings of its
// rows; a transposed operand has the other index in front.
struct MatrixCall {
  int64_t rows, columns, terms;
  bool transposes_a, transposes_b;
  int64_t a_stride, b_stride, c_stride;
  Expr a, b, c;  // loads of the first elements
};

Expr MakeMatrixCall(const MatrixCall& call);
// Nothing where `e` is none.
std::optional<MatrixCall> AsMatrixCall(const Expr& e);

}  // namespace tessera::ir
