#include <utility>

#include "base/status.h"
#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {

absl::StatusOr<Workload> BuildMatmul(const Attributes& attributes) {
  using Indices = DagBuilder::Indices;
  TESSERA_RETURN_IF_ERROR(CheckTf32(attributes));
  const bool batched = attributes.op() == "batch_matmul";
  const bool dense = attributes.op() == "dense";
  const bool transposed = dense || attributes.Flag("transpose_b");
  const bool constant = dense || attributes.Word("b") == "const";
  const ir::Type element = attributes.ElementType();
  const ir::Type accumulator = AccumulatorType(element);
  const Dim m{"m", attributes.Int("m")}, n{"n", attributes.Int("n")}, k{"k", attributes.Int("k")};
  std::vector<Dim> batch;
  if (batched) batch.push_back({"b", attributes.Int("batch")});

  const auto with_batch = [&batch](std::vector<Dim> dims) {
    dims.insert(dims.begin(), batch.begin(), batch.end());
    return dims;
  };
  DagBuilder builder;
  const ir::Buffer a = builder.Input("A", element, with_batch({m, k}));
  const std::vector<Dim> b_dims = with_batch(transposed ? std::vector{n, k} : std::vector{k, n});
  const ir::Buffer b = constant ? builder.Constant("B", element, b_dims, FreePlacement())
                                : builder.Input("B", element, b_dims);
  const std::vector<Dim> dims = with_batch({m, n});
  const int column = static_cast<int>(dims.size()) - 1;
  const auto term = [&](const Indices& axes, const Indices& reduce) {
    Indices left(axes.begin(), axes.end() - 1), right(axes.begin(), axes.end() - 2);
    left.push_back(reduce[0]);
    right.push_back(transposed ? axes[column] : reduce[0]);
    right.push_back(transposed ? reduce[0] : axes[column]);
    return Factor(attributes, ir::MakeLoad(a, left)) * Factor(attributes, ir::MakeLoad(b, right));
  };
  ir::Buffer product = builder.Reduce("matmul", accumulator, dims, {k}, Combiner::kSum, term);
  TESSERA_ASSIGN_OR_RETURN(
      const ir::Buffer last,
      ApplyEpilogue(builder, attributes, std::move(product), dims, {column}, {}));
  return std::move(builder).Finish({last});
}

}  // namespace tessera::te
