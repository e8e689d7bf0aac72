#include "compiler/te/epilogue.h"
#include "compiler/te/operator_families.h"

namespace tessera::te {
namespace {

using Indices = DagBuilder::Indices;

constexpr double kLayerNormEpsilon = 1e-5;

struct Rows {
  explicit Rows(const Attributes& attributes)
      : type(attributes.ElementType()),
        wide(AccumulatorType(type)),
        m{"m", attributes.Int("m")},
        n{"n", attributes.Int("n")} {}
  ir::Type type, wide;
  Dim m, n;
};

ir::Expr Count(ir::Type type, int64_t count) {
  return ir::MakeConst(type, static_cast<double>(count));
}

}  // namespace

absl::StatusOr<Workload> BuildReduction(const Attributes& attributes) {
  const Rows rows(attributes);
  const bool columns = attributes.Int("axis") == 0;
  const Dim& kept = columns ? rows.n : rows.m;
  const Dim& reduced = columns ? rows.m : rows.n;
  const std::string_view op = attributes.op();
  const Combiner combiner = op == "reduce_max"    ? Combiner::kMax
                            : op == "reduce_min"  ? Combiner::kMin
                            : op == "reduce_prod" ? Combiner::kProduct
                                                  : Combiner::kSum;
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", rows.type, {rows.m, rows.n});
  ir::Buffer last =
      builder.Reduce("reduce", rows.wide, {kept}, {reduced}, combiner,
                     [&](const Indices& axes, const Indices& reduce) {
                       return As(rows.wide, columns ? ir::MakeLoad(x, {reduce[0], axes[0]})
                                                    : ir::MakeLoad(x, {axes[0], reduce[0]}));
                     });
  if (op == "reduce_mean") {
    last = builder.Compute("mean", rows.type, {kept}, [&](const Indices& axes) {
      return As(rows.type, ir::MakeLoad(last, axes) / Count(rows.wide, reduced.extent));
    });
  } else if (rows.type != rows.wide) {
    last = builder.Compute("narrow", rows.type, {kept}, [&](const Indices& axes) {
      return ir::MakeCast(rows.type, ir::MakeLoad(last, axes));
    });
  }
  return std::move(builder).Finish({last});
}

absl::StatusOr<Workload> BuildNorm2(const Attributes& attributes) {
  const Rows rows(attributes);
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", rows.type, {rows.m, rows.n});
  const ir::Buffer squares =
      builder.Reduce("square_sum", rows.wide, {rows.m}, {rows.n}, Combiner::kSum,
                     [&](const Indices& axes, const Indices& reduce) {
                       const ir::Expr value = As(rows.wide, ir::MakeLoad(x, {axes[0], reduce[0]}));
                       return value * value;
                     });
  const ir::Buffer norm = builder.Compute("norm", rows.type, {rows.m}, [&](const Indices& axes) {
    return As(rows.type, ir::MakeCall(rows.wide, "sqrt", {ir::MakeLoad(squares, axes)}));
  });
  return std::move(builder).Finish({norm});
}

absl::StatusOr<Workload> BuildArgument(const Attributes& attributes) {
  const Rows rows(attributes);
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", rows.type, {rows.m, rows.n});
  const std::vector<ir::Buffer> outputs =
      builder.ReduceTuple({"value", "index"}, {rows.type, ir::Int(32)}, {rows.m}, {rows.n},
                          attributes.op() == "argmin" ? Combiner::kArgMin : Combiner::kArgMax,
                          [&](const Indices& axes, const Indices& reduce) {
                            return std::vector<ir::Expr>{ir::MakeLoad(x, {axes[0], reduce[0]}),
                                                         ir::MakeCast(ir::Int(32), reduce[0])};
                          });
  return std::move(builder).Finish(outputs);
}

absl::StatusOr<Workload> BuildSoftmax(const Attributes& attributes) {
  const Rows rows(attributes);
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", rows.type, {rows.m, rows.n});
  const ir::Buffer largest =
      builder.Reduce("row_max", rows.wide, {rows.m}, {rows.n}, Combiner::kMax,
                     [&](const Indices& axes, const Indices& reduce) {
                       return As(rows.wide, ir::MakeLoad(x, {axes[0], reduce[0]}));
                     });
  const ir::Buffer power =
      builder.Compute("power", rows.wide, {rows.m, rows.n}, [&](const Indices& axes) {
        return ir::MakeCall(
            rows.wide, "exp",
            {As(rows.wide, ir::MakeLoad(x, axes)) - ir::MakeLoad(largest, {axes[0]})});
      });
  const ir::Buffer total = builder.Reduce("row_sum", rows.wide, {rows.m}, {rows.n}, Combiner::kSum,
                                          [&](const Indices& axes, const Indices& reduce) {
                                            return ir::MakeLoad(power, {axes[0], reduce[0]});
                                          });
  // One division a row; the total is 1 at least.
  const ir::Buffer scale = builder.Compute("scale", rows.wide, {rows.m}, [&](const Indices& axes) {
    return ir::MakeConst(rows.wide, 1) / ir::MakeLoad(total, axes);
  });
  const ir::Buffer softmax =
      builder.Compute("softmax", rows.type, {rows.m, rows.n}, [&](const Indices& axes) {
        return As(rows.type, ir::MakeLoad(power, axes) * ir::MakeLoad(scale, {axes[0]}));
      });
  return std::move(builder).Finish({softmax});
}

absl::StatusOr<Workload> BuildLayerNorm(const Attributes& attributes) {
  const Rows rows(attributes);
  const std::vector<Dim> dims{rows.m, rows.n};
  DagBuilder builder;
  const ir::Buffer x = builder.Input("X", rows.type, dims);
  const ir::Buffer scale = builder.Constant("Scale", rows.wide, {rows.n});
  const ir::Buffer shift = builder.Constant("Shift", rows.wide, {rows.n});
  const auto wide = [&](const Indices& at) { return As(rows.wide, ir::MakeLoad(x, at)); };
  const ir::Buffer sum = builder.Reduce(
      "row_sum", rows.wide, {rows.m}, {rows.n}, Combiner::kSum,
      [&](const Indices& axes, const Indices& reduce) { return wide({axes[0], reduce[0]}); });
  const ir::Buffer mean = builder.Compute("mean", rows.wide, {rows.m}, [&](const Indices& axes) {
    return ir::MakeLoad(sum, axes) / Count(rows.wide, rows.n.extent);
  });
  const ir::Buffer centred = builder.Compute("centred", rows.wide, dims, [&](const Indices& axes) {
    return wide(axes) - ir::MakeLoad(mean, {axes[0]});
  });
  const ir::Buffer squares =
      builder.Reduce("square_sum", rows.wide, {rows.m}, {rows.n}, Combiner::kSum,
                     [&](const Indices& axes, const Indices& reduce) {
                       const ir::Expr value = ir::MakeLoad(centred, {axes[0], reduce[0]});
                       return value * value;
                     });
  const ir::Buffer inverse =
      builder.Compute("inverse_deviation", rows.wide, {rows.m}, [&](const Indices& axes) {
        const ir::Expr variance = ir::MakeLoad(squares, axes) / Count(rows.wide, rows.n.extent);
        return ir::MakeCall(rows.wide, "rsqrt",
                            {variance + ir::MakeConst(rows.wide, kLayerNormEpsilon)});
      });
  const ir::Buffer result =
      builder.Compute("layer_norm", rows.type, dims, [&](const Indices& axes) {
        const ir::Expr normal = ir::MakeLoad(centred, axes) * ir::MakeLoad(inverse, {axes[0]});
        return As(rows.type,
                  normal * ir::MakeLoad(scale, {axes[1]}) + ir::MakeLoad(shift, {axes[1]}));
      });
  return std::move(builder).Finish({result});
}

}  // namespace tessera::te
