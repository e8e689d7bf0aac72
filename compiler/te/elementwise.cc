#include <numbers>

#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {
namespace {

ir::Expr Apply(std::string_view op, const ir::Expr& x) {
  const ir::Type type = x.type();
  if (op == "relu") return ir::Max(x, ir::Zero(type));
  if (op == "gelu") {
    const ir::Expr scaled = x * ir::MakeConst(type, std::numbers::sqrt2 / 2);
    return ir::MakeConst(type, 0.5) * x *
           (ir::MakeConst(type, 1) + ir::MakeCall(type, "erf", {scaled}));
  }
  return ir::MakeCall(type, std::string(op), {x});
}

std::vector<Dim> Shape(const Attributes& attributes) {
  return {{"m", attributes.Int("m")}, {"n", attributes.Int("n")}};
}

}  // namespace

absl::StatusOr<Workload> BuildUnary(const Attributes& attributes) {
  const ir::Type type = attributes.ElementType();
  const std::vector<Dim> dims = Shape(attributes);
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", type, dims);
  const ir::Buffer result =
      builder.Compute(attributes.op(), type, dims, [&](const DagBuilder::Indices& axes) {
        return As(type, Apply(attributes.op(), As(AccumulatorType(type), ir::MakeLoad(x, axes))));
      });
  return std::move(builder).Finish({result});
}

absl::StatusOr<Workload> BuildAdd(const Attributes& attributes) {
  const ir::Type type = attributes.ElementType();
  const ir::Type wide = AccumulatorType(type);
  const std::vector<Dim> dims = Shape(attributes);
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", type, dims);
  const ir::Buffer y = builder.Input("Y", type, dims);
  const bool narrows = !type.is_float(), has_relu = attributes.Flag("relu");
  ir::Buffer last = x;
  if (narrows) {
    last = builder.Compute("widen", wide, dims, [&](const DagBuilder::Indices& axes) {
      return As(wide, ir::MakeLoad(x, axes));
    });
  }
  const ir::Type sum = narrows || has_relu ? wide : type;
  last = builder.Compute("add", sum, dims, [&](const DagBuilder::Indices& axes) {
    return As(sum, As(wide, ir::MakeLoad(last, axes)) + As(wide, ir::MakeLoad(y, axes)));
  });
  if (has_relu) {
    const ir::Type result = narrows ? wide : type;
    last = builder.Compute("relu", result, dims, [&](const DagBuilder::Indices& axes) {
      return As(result, ir::Max(ir::MakeLoad(last, axes), ir::Zero(wide)));
    });
  }
  if (narrows) {
    last = builder.Compute("narrow", type, dims, [&](const DagBuilder::Indices& axes) {
      return ir::MakeCast(type, ir::MakeLoad(last, axes), /*saturate=*/true);
    });
  }
  return std::move(builder).Finish({last});
}

absl::StatusOr<Workload> BuildBinary(const Attributes& attributes) {
  const ir::Type type = attributes.ElementType();
  const ir::Type wide = AccumulatorType(type);
  const std::vector<Dim> dims = Shape(attributes);
  const bool bias = attributes.op() == "bias_add";
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", type, dims);
  const ir::Buffer y =
      bias ? builder.Constant("Bias", type, {dims[1]}) : builder.Input("Y", type, dims);
  const ir::Buffer result =
      builder.Compute(attributes.op(), type, dims, [&](const DagBuilder::Indices& axes) {
        const ir::Expr a = As(wide, ir::MakeLoad(x, axes));
        const ir::Expr b = As(wide, ir::MakeLoad(y, bias ? DagBuilder::Indices{axes[1]} : axes));
        return As(type, bias ? a + b : a * b);
      });
  return std::move(builder).Finish({result});
}

}  // namespace tessera::te
