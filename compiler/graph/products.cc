#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/families.h"
#include "compiler/te/epilogue.h"

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;

// The last two dimensions are multiplied, those before broadcast. Operands have two at least: the
// second may be stored transposed.
absl::StatusOr<TensorType> InferMatmul(const Call& call) {
  const TensorType &a = call.operands[0], &b = call.operands[1];
  const size_t ra = a.shape.size(), rb = b.shape.size();
  if (ra < 2 || rb < 2) {
    return absl::InvalidArgumentError("operands need two dimensions at least; reshape them");
  }
  if (!CanBeMultiplied(a.element, b.element)) {
    return absl::InvalidArgumentError("operands are of two types");
  }
  const bool transposed = call.Int("transpose_b") != 0;
  const int64_t k = b.shape[rb - (transposed ? 1 : 2)], n = b.shape[rb - (transposed ? 2 : 1)];
  if (a.shape[ra - 1] != k) {
    return absl::InvalidArgumentError(
        absl::StrCat("sums over ", a.shape[ra - 1], " and ", k, " elements"));
  }
  const TensorType batch_a{a.element, {a.shape.begin(), a.shape.end() - 2}, {}};
  const TensorType batch_b{b.element, {b.shape.begin(), b.shape.end() - 2}, {}};
  TensorType result{te::AccumulatorType(a.element).is_float() ? a.element : ir::Int(32), {}, {}};
  TESSERA_ASSIGN_OR_RETURN(result.shape, BroadcastShape({batch_a, batch_b}));
  result.shape.push_back(a.shape[ra - 2]);
  result.shape.push_back(n);
  if (call.operands.size() > 2) {
    const TensorType& bias = call.operands[2];
    if (bias.shape != std::vector<int64_t>{n} || bias.element != result.element) {
      return absl::InvalidArgumentError(
          absl::StrCat("the bias is ", ToString(bias), "; it has to be ",
                       ToString(TensorType{result.element, {n}, {}})));
    }
  }
  return result;
}

ir::Buffer DefineMatmul(te::DagBuilder& builder, const Call& call,
                        absl::Span<const Operand> operands, const TensorType& result,
                        const std::string& name) {
  const TensorType &a = call.operands[0], &b = call.operands[1];
  const bool transposed = call.Int("transpose_b") != 0;
  const ir::Type wide = te::AccumulatorType(a.element);
  const std::vector<te::Dim> dims = DimsOf(result.shape);
  const size_t m = dims.size() - 2, n = dims.size() - 1;
  const auto batch = [&](const TensorType& type, const Indices& axes) {
    Indices at;
    const size_t rank = type.shape.size() - 2;
    for (size_t d = 0; d < rank; ++d) {
      at.push_back(type.shape[d] == 1 ? ir::Expr(0) : axes[m - rank + d]);
    }
    return at;
  };
  const bool has_bias = operands.size() > 2;
  const bool is_last = !has_bias && wide == result.element;
  const ir::Buffer product =
      builder.Reduce(is_last ? name : name + "_sum", wide, dims, {{"k", a.shape.back()}},
                     te::Combiner::kSum, [&](const Indices& axes, const Indices& reduce) {
                       Indices left = batch(a, axes), right = batch(b, axes);
                       left.insert(left.end(), {axes[m], reduce[0]});
                       if (transposed) {
                         right.insert(right.end(), {axes[n], reduce[0]});
                       } else {
                         right.insert(right.end(), {reduce[0], axes[n]});
                       }
                       return As(wide, operands[0].At(left)) * As(wide, operands[1].At(right));
                     });
  if (is_last) return product;
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    ir::Expr value = ir::MakeLoad(product, axes);
    if (has_bias) value = value + As(wide, operands[2].At({axes[n]}));
    return As(result.element, value);
  });
}

}  // namespace

bool IsByte(ir::Type type) { return type.is_integer() && type.bits == 8; }

bool CanBeMultiplied(ir::Type a, ir::Type b) { return a == b || (IsByte(a) && IsByte(b)); }

std::vector<Operator> ProductOperators() {
  return {{"matmul",
           2,
           3,
           Pattern::kAnchor,
           {{"transpose_b", int64_t{0}}},
           InferMatmul,
           DefineMatmul,
           {1}}};
}

}  // namespace tessera::graph
