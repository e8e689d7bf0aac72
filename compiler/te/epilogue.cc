#include "compiler/te/epilogue.h"

#include <utility>

#include "compiler/ir/tf32.h"

namespace tessera::te {

ir::Type AccumulatorType(ir::Type type) {
  if (type == ir::Float(64)) return type;
  return type.is_float() ? ir::Float(32) : ir::Int(32);
}

ir::Expr As(ir::Type type, ir::Expr value) {
  return value.type() == type ? value : ir::MakeCast(type, std::move(value));
}

ir::Expr Factor(const Attributes& attributes, const ir::Expr& value) {
  const ir::Expr wide = As(AccumulatorType(value.type()), value);
  return attributes.Flag("tf32") ? ir::MakeTf32(wide) : wide;
}

absl::Status CheckTf32(const Attributes& attributes) {
  const ir::Type element = attributes.ElementType();
  if (!attributes.Flag("tf32") || element == ir::Float(32)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tf32 is for dtype f32, not ", ir::ToString(element)));
}

absl::StatusOr<ir::Buffer> ApplyEpilogue(DagBuilder& builder, const Attributes& attributes,
                                         ir::Buffer sum, const std::vector<Dim>& dims,
                                         const std::vector<int>& channel_dims,
                                         const Placement& placement) {
  using Indices = DagBuilder::Indices;
  const ir::Type element = attributes.ElementType();
  const bool requantize = attributes.Flag("requantize");
  if (requantize && element.is_float()) {
    return absl::InvalidArgumentError(
        absl::StrCat("requantize is for dtype i8, not ", ir::ToString(element)));
  }
  const int64_t shift = attributes.Int("shift");
  if (shift > 0 && (element.is_float() || requantize)) {
    return absl::InvalidArgumentError(
        absl::StrCat("shift is ", shift, "; it is for dtype i8 without requantize"));
  }
  ir::Type wide = AccumulatorType(element);
  const bool narrows = requantize || shift > 0;
  const ir::Type result = element.is_float() || narrows ? element : wide;
  const auto constant = [&](const char* name, ir::Type type) {
    std::vector<Dim> shape;
    for (int d : channel_dims) shape.push_back(dims[d]);
    return builder.Constant(name, type, shape);
  };
  const auto of_channel = [&](const ir::Buffer& buffer, const Indices& axes) {
    Indices channel;
    for (int d : channel_dims) channel.push_back(axes[d]);
    return ir::MakeLoad(buffer, channel);
  };
  ir::Buffer last = std::move(sum);
  if (attributes.Flag("bias")) {
    const ir::Buffer bias = constant("Bias", wide);
    last = builder.Compute("bias", wide, dims, [&](const Indices& axes) {
      return ir::MakeLoad(last, axes) + of_channel(bias, axes);
    });
  }
  if (shift > 0) {
    last = builder.Compute("shift", wide, dims, [&](const Indices& axes) {
      return ir::MakeBinary(ir::BinaryOp::kShiftRight, ir::MakeLoad(last, axes),
                            ir::MakeInt(wide, shift));
    });
  }
  if (requantize) {
    wide = ir::Float(32);
    const ir::Buffer scale = constant("Scale", wide);
    last = builder.Compute("scale", wide, dims, [&](const Indices& axes) {
      return As(wide, ir::MakeLoad(last, axes)) * of_channel(scale, axes);
    });
  }
  if (attributes.Flag("add")) {
    const ir::Buffer residual = builder.Input("Residual", result, dims, placement);
    last = builder.Compute("add", wide, dims, [&](const Indices& axes) {
      return ir::MakeLoad(last, axes) + As(wide, ir::MakeLoad(residual, axes));
    });
  }
  if (attributes.Flag("relu")) {
    last = builder.Compute("relu", wide, dims, [&](const Indices& axes) {
      return ir::Max(ir::MakeLoad(last, axes), ir::Zero(wide));
    });
  }
  if (result != wide) {
    last = builder.Compute("narrow", result, dims, [&](const Indices& axes) {
      return ir::MakeCast(result, ir::MakeLoad(last, axes), /*saturate=*/narrows);
    });
  }
  return last;
}

}  // namespace tessera::te
