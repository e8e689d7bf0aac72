#pragma once

#include <vector>

#include "compiler/te/attributes.h"
#include "compiler/te/dag_builder.h"

namespace tessera::te {

// The type in which sums of products of `type` are kept: f64 for f64, f32 for other floats, i32
// for integers.
ir::Type AccumulatorType(ir::Type type);
// `value` in `type`, which is the same expression if it is that already.
ir::Expr As(ir::Type type, ir::Expr value);

// `value` in the accumulators' type, as a factor of a sum's products: with attribute tf32, one of
// which a target may use ten bits of the fraction alone.
ir::Expr Factor(const Attributes& attributes, const ir::Expr& value);
// InvalidArgument where tf32 is asked for of another element type than f32.
absl::Status CheckTf32(const Attributes& attributes);

// Stages after the reduction `sum` over `dims`, in this order, those that `attributes` ask for:
// `bias` (a constant Bias over `channel_dims`, positions in `dims`), `shift` (to the right),
// `scale` (of requantize: times a constant Scale over them), `add` (an input Residual placed like
// the output), `relu`, and `narrow` to the type that the operator's result has. Returns the last
// one. Requantizing or shifting floats is InvalidArgument, as is both at once.
absl::StatusOr<ir::Buffer> ApplyEpilogue(DagBuilder& builder, const Attributes& attributes,
                                         ir::Buffer sum, const std::vector<Dim>& dims,
                                         const std::vector<int>& channel_dims,
                                         const Placement& placement);

}  // namespace tessera::te
