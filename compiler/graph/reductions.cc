#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/graph/families.h"

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;
using te::Combiner;

// Which dimensions are reduced. All where none is named.
absl::StatusOr<std::vector<bool>> Reduced(const Call& call) {
  const size_t rank = call.operands[0].shape.size();
  const std::vector<int64_t>& axes = call.Ints("axes");
  std::vector<bool> reduced(rank, axes.empty());
  for (const int64_t axis : axes) {
    const int d = AxisOf(axis, rank);
    if (d < 0 || reduced[d]) {
      return absl::InvalidArgumentError(absl::StrCat("axes are [", absl::StrJoin(axes, ","),
                                                     "]; each of ", rank,
                                                     " dimensions can be named once"));
    }
    reduced[d] = true;
  }
  return reduced;
}

absl::StatusOr<TensorType> InferReduce(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<bool> reduced, Reduced(call));
  TensorType result{call.operands[0].element, {}, {}};
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d]) result.shape.push_back(call.operands[0].shape[d]);
    if (reduced[d] && call.Int("keep") != 0) result.shape.push_back(1);
  }
  return result;
}

// The operand's place for a result's and positions along what is reduced.
Indices Source(const std::vector<bool>& reduced, bool keeps, const Indices& axes,
               const Indices& reduce) {
  Indices from;
  size_t a = 0, r = 0;
  for (const bool is_reduced : reduced) {
    from.push_back(is_reduced ? reduce[r++] : axes[a]);
    if (!is_reduced || keeps) ++a;
  }
  return from;
}

// Along which a reduction goes, in order.
std::vector<te::Dim> ReducedDims(const TensorType& type, const std::vector<bool>& reduced) {
  std::vector<te::Dim> dims;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (reduced[d]) dims.push_back({absl::StrCat("r", d), type.shape[d]});
  }
  if (dims.empty()) dims.push_back({"r0", 1});
  return dims;
}

template <Combiner kCombiner, bool kIsMean = false>
ir::Buffer DefineReduce(te::DagBuilder& builder, const Call& call,
                        absl::Span<const Operand> operands, const TensorType& result,
                        const std::string& name) {
  const std::vector<bool> reduced = *Reduced(call);
  const bool keeps = call.Int("keep") != 0;
  const ir::Type wide = kCombiner == Combiner::kMax || kCombiner == Combiner::kMin
                            ? result.element
                            : SumType(result.element);
  const std::vector<te::Dim> dims = DimsOf(result.shape),
                             along = ReducedDims(call.operands[0], reduced);
  const bool is_last = !kIsMean && wide == result.element;
  const ir::Buffer sum =
      builder.Reduce(is_last ? name : name + "_all", wide, dims, along, kCombiner,
                     [&](const Indices& axes, const Indices& reduce) {
                       return As(wide, operands[0].At(Source(reduced, keeps, axes, reduce)));
                     });
  if (is_last) return sum;
  const int64_t count = call.operands[0].ElementCount() / result.ElementCount();
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    const ir::Expr all = ir::MakeLoad(sum, axes);
    return As(result.element,
              kIsMean ? QuotientOf(all, ir::MakeConst(wide, static_cast<double>(count))) : all);
  });
}

template <Combiner kCombiner, bool kIsMean = false>
Operator Reduction(std::string_view name) {
  return {name,
          1,
          1,
          Pattern::kReduction,
          {{"axes", std::vector<int64_t>{}}, {"keep", int64_t{1}}},
          InferReduce,
          DefineReduce<kCombiner, kIsMean>};
}

// --- argmax, argmin: positions along one axis, the first of equals

absl::StatusOr<TensorType> InferArgument(const Call& call) {
  TensorType result = call.operands[0];
  const int axis = AxisOf(call.Int("axis"), result.shape.size());
  if (axis < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"), " of ", result.shape.size(), " dimensions"));
  }
  result.layout.clear();
  result.element = ir::Int(32);
  result.shape[axis] = 1;
  return result;
}
template <Combiner kCombiner>
ir::Buffer DefineArgument(te::DagBuilder& builder, const Call& call,
                          absl::Span<const Operand> operands, const TensorType& result,
                          const std::string& name) {
  const TensorType& x = call.operands[0];
  const int axis = AxisOf(call.Int("axis"), x.shape.size());
  const std::vector<ir::Buffer> pair = builder.ReduceTuple(
      {name + "_value", name + "_at"}, {x.element, ir::Int(32)}, DimsOf(result.shape),
      {{"r", x.shape[axis]}}, kCombiner, [&](const Indices& axes, const Indices& reduce) {
        Indices from = axes;
        from[axis] = reduce[0];
        return std::vector<ir::Expr>{operands[0].At(from), ir::MakeCast(ir::Int(32), reduce[0])};
      });
  return builder.Compute(name, ir::Int(32), DimsOf(result.shape),
                         [&](const Indices& axes) { return ir::MakeLoad(pair[1], axes); });
}

// --- softmax along one axis

absl::StatusOr<TensorType> InferSoftmax(const Call& call) {
  TensorType result = call.operands[0];
  if (AxisOf(call.Int("axis"), result.shape.size()) < 0 || !result.element.is_float()) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"), "; it has to name a dimension of floats"));
  }
  result.layout.clear();
  return result;
}
template <bool kIsLog>
ir::Buffer DefineSoftmax(te::DagBuilder& builder, const Call& call,
                         absl::Span<const Operand> operands, const TensorType& result,
                         const std::string& name) {
  const ir::Type wide = WideType(result.element);
  const int axis = AxisOf(call.Int("axis"), result.shape.size());
  const std::vector<te::Dim> dims = DimsOf(result.shape);
  const std::vector<te::Dim> along{{"r", result.shape[axis]}};
  std::vector<te::Dim> rows = dims;
  rows.erase(rows.begin() + axis);
  if (rows.empty()) rows.push_back({"row", 1});
  const bool is_one = dims.size() == 1;
  const auto row = [&](const Indices& axes) {
    if (is_one) return Indices{ir::Expr(0)};
    Indices at = axes;
    at.erase(at.begin() + axis);
    return at;
  };
  const auto element = [&](const Indices& at, const ir::Expr& along_axis) {
    if (is_one) return Indices{along_axis};
    Indices from = at;
    from.insert(from.begin() + axis, along_axis);
    return from;
  };
  const ir::Buffer largest =
      builder.Reduce(name + "_max", wide, rows, along, Combiner::kMax,
                     [&](const Indices& axes, const Indices& reduce) {
                       return As(wide, operands[0].At(element(axes, reduce[0])));
                     });
  const ir::Buffer shifted =
      builder.Compute(name + (kIsLog ? "_less" : "_power"), wide, dims, [&](const Indices& axes) {
        const ir::Expr less = As(wide, operands[0].At(axes)) - ir::MakeLoad(largest, row(axes));
        return kIsLog ? less : ir::MakeCall(wide, "exp", {less});
      });
  const ir::Buffer total =
      builder.Reduce(name + "_sum", wide, rows, along, Combiner::kSum,
                     [&](const Indices& axes, const Indices& reduce) {
                       const ir::Expr value = ir::MakeLoad(shifted, element(axes, reduce[0]));
                       return kIsLog ? ir::MakeCall(wide, "exp", {value}) : value;
                     });
  // One division, or logarithm, a row; the total is 1 at least.
  const ir::Buffer scale = builder.Compute(name + "_scale", wide, rows, [&](const Indices& axes) {
    const ir::Expr sum = ir::MakeLoad(total, axes);
    return kIsLog ? ir::MakeCall(wide, "log", {sum}) : ir::MakeConst(wide, 1) / sum;
  });
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    const ir::Expr value = ir::MakeLoad(shifted, axes), by = ir::MakeLoad(scale, row(axes));
    return As(result.element, kIsLog ? value - by : value * by);
  });
}

// --- layer_norm(x, scale, shift): rows are the dimensions from `axis` on

absl::StatusOr<TensorType> InferLayerNorm(const Call& call) {
  TensorType result = call.operands[0];
  result.layout.clear();
  const int axis = AxisOf(call.Int("axis"), result.shape.size());
  if (axis < 0 || !result.element.is_float()) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"), "; it has to name a dimension of floats"));
  }
  const std::vector<int64_t> row(result.shape.begin() + axis, result.shape.end());
  for (const TensorType& type : call.operands.subspan(1)) {
    if (type.shape == row && type.element.is_float()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("scale and shift need floats of shape [", absl::StrJoin(row, ","), "]"));
  }
  return result;
}
ir::Buffer DefineLayerNorm(te::DagBuilder& builder, const Call& call,
                           absl::Span<const Operand> operands, const TensorType& result,
                           const std::string& name) {
  const ir::Type wide = WideType(result.element);
  const auto axis = static_cast<int64_t>(AxisOf(call.Int("axis"), result.shape.size()));
  const std::vector<te::Dim> dims = DimsOf(result.shape);
  std::vector<te::Dim> rows(dims.begin(), dims.begin() + axis), along;
  int64_t count = 1;
  for (size_t d = static_cast<size_t>(axis); d < dims.size(); ++d) {
    along.push_back({absl::StrCat("r", d), dims[d].extent});
    count *= dims[d].extent;
  }
  if (rows.empty()) rows.push_back({"row", 1});
  const auto row = [&](const Indices& axes) {
    return axis == 0 ? Indices{ir::Expr(0)} : Indices(axes.begin(), axes.begin() + axis);
  };
  const auto element = [&](const Indices& axes, const Indices& reduce) {
    Indices from(axes.begin(), axes.begin() + axis);
    from.insert(from.end(), reduce.begin(), reduce.end());
    return from;
  };
  const ir::Expr extent = ir::MakeConst(wide, static_cast<double>(count));
  const ir::Buffer sum = builder.Reduce(name + "_sum", wide, rows, along, Combiner::kSum,
                                        [&](const Indices& axes, const Indices& reduce) {
                                          return As(wide, operands[0].At(element(axes, reduce)));
                                        });
  const ir::Buffer mean = builder.Compute(name + "_mean", wide, rows, [&](const Indices& axes) {
    return ir::MakeLoad(sum, axes) / extent;
  });
  const ir::Buffer centred =
      builder.Compute(name + "_centred", wide, dims, [&](const Indices& axes) {
        return As(wide, operands[0].At(axes)) - ir::MakeLoad(mean, row(axes));
      });
  const ir::Buffer squares = builder.Reduce(name + "_squares", wide, rows, along, Combiner::kSum,
                                            [&](const Indices& axes, const Indices& reduce) {
                                              const ir::Expr value =
                                                  ir::MakeLoad(centred, element(axes, reduce));
                                              return value * value;
                                            });
  const ir::Buffer inverse =
      builder.Compute(name + "_inverse", wide, rows, [&](const Indices& axes) {
        const ir::Expr variance = ir::MakeLoad(squares, axes) / extent;
        return ir::MakeCall(wide, "rsqrt", {variance + ir::MakeConst(wide, call.Float("epsilon"))});
      });
  return builder.Compute(name, result.element, dims, [&](const Indices& axes) {
    ir::Expr value = ir::MakeLoad(centred, axes) * ir::MakeLoad(inverse, row(axes));
    value = value * As(wide, BroadcastAt(operands[1], axes, result.shape));
    if (operands.size() > 2) value = value + As(wide, BroadcastAt(operands[2], axes, result.shape));
    return As(result.element, value);
  });
}

}  // namespace

std::vector<Operator> ReductionOperators() {
  const Operator::Parameter last{"axis", int64_t{-1}};
  return {
      Reduction<Combiner::kSum>("reduce_sum"),
      Reduction<Combiner::kSum, true>("reduce_mean"),
      Reduction<Combiner::kMax>("reduce_max"),
      Reduction<Combiner::kMin>("reduce_min"),
      Reduction<Combiner::kProduct>("reduce_prod"),
      {"argmax",
       1,
       1,
       Pattern::kReduction,
       {last},
       InferArgument,
       DefineArgument<Combiner::kArgMax>},
      {"argmin",
       1,
       1,
       Pattern::kReduction,
       {last},
       InferArgument,
       DefineArgument<Combiner::kArgMin>},
      {"softmax", 1, 1, Pattern::kReduction, {last}, InferSoftmax, DefineSoftmax<false>},
      {"log_softmax", 1, 1, Pattern::kReduction, {last}, InferSoftmax, DefineSoftmax<true>},
      {"layer_norm",
       2,
       3,
       Pattern::kReduction,
       {last, {"epsilon", 1e-5}},
       InferLayerNorm,
       DefineLayerNorm},
  };
}

}  // namespace tessera::graph
