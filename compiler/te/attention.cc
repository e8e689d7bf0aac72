#include <cmath>
#include <utility>

#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {

absl::StatusOr<Workload> BuildAttentionScores(const Attributes& attributes) {
  using Indices = DagBuilder::Indices;
  const ir::Type element = attributes.ElementType();
  const ir::Type wide = AccumulatorType(element);
  const int64_t depth = attributes.Int("dim");
  const Dim n{"n", attributes.Int("n")}, h{"h", attributes.Int("heads")}, k{"k", depth},
      query{"q", attributes.Int("seq")}, key{"t", attributes.Int("seq")};
  const std::vector<Dim> dims{n, h, query, key}, rows{n, h, query};

  DagBuilder builder;
  const ir::Buffer q = builder.Input("Q", element, {n, query, h, k});
  const ir::Buffer t = builder.Input("K", element, {n, key, h, k});
  const ir::Buffer product = builder.Reduce(
      "product", wide, dims, {k}, Combiner::kSum, [&](const Indices& at, const Indices& reduce) {
        return As(wide, ir::MakeLoad(q, {at[0], at[2], at[1], reduce[0]})) *
               As(wide, ir::MakeLoad(t, {at[0], at[3], at[1], reduce[0]}));
      });
  const ir::Buffer scores = builder.Compute("scores", wide, dims, [&](const Indices& at) {
    return ir::MakeLoad(product, at) *
           ir::MakeConst(wide, 1 / std::sqrt(static_cast<double>(depth)));
  });
  const auto along_keys = [&](const ir::Buffer& buffer) {
    return [buffer](const Indices& at, const Indices& reduce) {
      return ir::MakeLoad(buffer, {at[0], at[1], at[2], reduce[0]});
    };
  };
  const ir::Buffer largest =
      builder.Reduce("row_max", wide, rows, {key}, Combiner::kMax, along_keys(scores));
  const ir::Buffer power = builder.Compute("power", wide, dims, [&](const Indices& at) {
    return ir::MakeCall(wide, "exp",
                        {ir::MakeLoad(scores, at) - ir::MakeLoad(largest, {at[0], at[1], at[2]})});
  });
  const ir::Buffer total =
      builder.Reduce("row_sum", wide, rows, {key}, Combiner::kSum, along_keys(power));
  // One division a row; the total is 1 at least.
  const ir::Buffer scale = builder.Compute("scale", wide, rows, [&](const Indices& at) {
    return ir::MakeConst(wide, 1) / ir::MakeLoad(total, at);
  });
  const ir::Buffer result =
      builder.Compute("attention_scores", element, dims, [&](const Indices& at) {
        return As(element, ir::MakeLoad(power, at) * ir::MakeLoad(scale, {at[0], at[1], at[2]}));
      });
  return std::move(builder).Finish({result});
}

}  // namespace tessera::te
