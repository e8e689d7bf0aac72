#include "compiler/te/epilogue.h"

#include <utility>

namespace tessera::te {

ir::Type AccumulatorType(ir::Type type) { return type.is_float() ? ir::Float(32) : ir::Int(32); }

ir::Expr As(ir::Type type, ir::Expr value) {
  return value.type() == type ? value : ir::MakeCast(type, std::move(value));
}

ir::Buffer ApplyEpilogue(DagBuilder& builder, const Attributes& attributes, ir::Buffer sum,
                         const std::vector<Dim>& dims, const std::vector<int>& bias_dims,
                         const Placement& placement) {
  using Indices = DagBuilder::Indices;
  const ir::Type element = attributes.ElementType();
  const ir::Type accumulator = AccumulatorType(element);
  const ir::Type result = element.is_float() ? element : accumulator;
  ir::Buffer last = std::move(sum);
  if (attributes.Flag("bias")) {
    std::vector<Dim> shape;
    for (int d : bias_dims) shape.push_back(dims[d]);
    const ir::Buffer bias = builder.Constant("Bias", accumulator, shape);
    last = builder.Compute("bias", accumulator, dims, [&](const Indices& axes) {
      Indices channel;
      for (int d : bias_dims) channel.push_back(axes[d]);
      return ir::MakeLoad(last, axes) + ir::MakeLoad(bias, channel);
    });
  }
  if (attributes.Flag("add")) {
    const ir::Buffer residual = builder.Input("Residual", result, dims, placement);
    last = builder.Compute("add", accumulator, dims, [&](const Indices& axes) {
      return ir::MakeLoad(last, axes) + As(accumulator, ir::MakeLoad(residual, axes));
    });
  }
  if (attributes.Flag("relu")) {
    last = builder.Compute("relu", accumulator, dims, [&](const Indices& axes) {
      return ir::Max(ir::MakeLoad(last, axes), ir::Zero(accumulator));
    });
  }
  if (result != accumulator) {
    last = builder.Compute("narrow", result, dims, [&](const Indices& axes) {
      return ir::MakeCast(result, ir::MakeLoad(last, axes));
    });
  }
  return last;
}

}  // namespace tessera::te
