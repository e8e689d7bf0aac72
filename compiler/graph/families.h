#pragma once

#include <string>
#include <vector>

#include "compiler/graph/operators.h"
#include "compiler/te/spatial.h"

// The families that operators.cc makes its table of, and what they share.

namespace tessera::graph {

std::vector<Operator> UnaryOperators();
std::vector<Operator> BinaryOperators();     // and where
std::vector<Operator> ShapeOperators();      // reshape, transpose, slice, …
std::vector<Operator> ReductionOperators();  // reduce_*, arg*, softmax, layer_norm
std::vector<Operator> ProductOperators();    // matmul
std::vector<Operator> WindowOperators();     // convolutions and pooling
std::vector<Operator> UnpoolOperators();     // what max_pool's derivative takes

// Dimensions d0, d1, … of a shape; one of extent 1 where it has none.
std::vector<te::Dim> DimsOf(const std::vector<int64_t>& shape, std::string_view prefix = "d");
// Within [0, rank), counted from the back where it is negative; -1 where it is beyond.
int AxisOf(int64_t axis, size_t rank);
// The shape that shapes broadcast to, as NumPy's do. InvalidArgument where they don't.
absl::StatusOr<std::vector<int64_t>> BroadcastShape(absl::Span<const TensorType> types);
// The operand's element for that of `shape`, to which it broadcasts.
ir::Expr BroadcastAt(const Operand& operand, absl::Span<const ir::Expr> indices,
                     absl::Span<const int64_t> shape);
// Whether an integer type has the number; floats have all.
bool IsOfType(ir::Type type, double value);
// Whether elements of both can be multiplied and summed: those of one type, and bytes of both
// kinds.
bool CanBeMultiplied(ir::Type a, ir::Type b);
// f32 for narrower floats, in which they are computed; else the type itself.
ir::Type WideType(ir::Type type);
// That, and i32 for narrower integers: in which sums are kept.
ir::Type SumType(ir::Type type);
ir::Expr As(ir::Type type, ir::Expr value);
// a / b; of integers towards zero, as C divides.
ir::Expr QuotientOf(const ir::Expr& a, const ir::Expr& b);
// Of a pool over the first operand, [n, c, …], by its attributes.
absl::StatusOr<std::vector<te::Window>> PoolWindows(const Call& call);

}  // namespace tessera::graph
