#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "compiler/ir/expr.h"
#include "compiler/ir/target.h"

// A product of matrices that a library computes: a Call for its effect, which stores. Its name is
// the library's (base/third_party.h) with "_gemm" behind.

namespace tessera::ir {

// C[i, j] = Σ_l A[i, l] · B[l, j] for i < rows, j < columns, l < terms; nothing of C is read. Each
// matrix is given by its first element and by how many elements lie between the beginnings of its
// rows; a transposed operand has the other index in front. All of f32, or A of i8 or u8, B of i8
// and C of i32.
struct MatrixCall {
  std::string_view provider;  // of ThirdParties()
  int64_t rows, columns, terms;
  bool transposes_a, transposes_b;
  int64_t a_stride, b_stride, c_stride;
  Expr a, b, c;  // loads of the first elements
};

Expr MakeMatrixCall(const MatrixCall& call);
// Nothing where `e` is none.
std::optional<MatrixCall> AsMatrixCall(const Expr& e);
// Whether `name` is of such calls, whatever their arguments.
bool IsMatrixCallName(std::string_view name);

// Whether a library multiplies matrices of these types. InvalidArgument: the types, and what it
// multiplies.
absl::Status CheckMultiplies(std::string_view provider, Type a, Type b, Type c);
// Whether it does so on `target`, with exact sums of integers. InvalidArgument, saying why not.
absl::Status CheckMultipliesOn(std::string_view provider, Type a, const Target& target);

}  // namespace tessera::ir
