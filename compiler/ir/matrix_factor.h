#pragma once

#include <cstdint>

#include "compiler/ir/expr.h"

// What threads of a wave can multiply matrices of, where a target has instructions for it
// (compiler/codegen/gpu/matrix_products.h).

namespace tessera::ir {

// What is loaded, where `e` is a number of f16 or bf16 in f32, or one of f32 that may be rounded to
// TF32 (compiler/ir/tf32.h); else null.
const Load* AsMatrixFactor(const Expr& e);

// Terms of a sum that one instruction adds: 32 bytes of each factor.
constexpr int64_t MatrixTerms(Type factor) { return 256 / factor.bits; }

}  // namespace tessera::ir
