#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/graph/families.h"

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;

std::string Shown(const std::vector<int64_t>& values) {
  return absl::StrCat("[", absl::StrJoin(values, ","), "]");
}

absl::Status CheckLength(std::string_view what, const std::vector<int64_t>& values, size_t rank) {
  if (values.size() == rank) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(std::string(what), " is ", Shown(values),
                                                 "; it needs ", rank, " entries, one a dimension"));
}

// A stage in which each element is one of the operand's.
ir::Buffer Place(te::DagBuilder& builder, const Operand& operand, const TensorType& result,
                 const std::string& name, const std::function<Indices(const Indices&)>& from) {
  return builder.Compute(name, result.element, DimsOf(result.shape),
                         [&](const Indices& axes) { return operand.At(from(axes)); });
}

// --- reshape

absl::StatusOr<TensorType> InferReshape(const Call& call) {
  const TensorType& x = call.operands[0];
  const TensorType result{x.element, call.Ints("shape"), {}};
  if (std::ranges::any_of(result.shape, [](int64_t extent) { return extent < 1; }) ||
      result.ElementCount() != x.ElementCount()) {
    return absl::InvalidArgumentError(absl::StrCat("shape is ", Shown(result.shape), "; it needs ",
                                                   x.ElementCount(), " elements"));
  }
  return result;
}
ir::Buffer DefineReshape(te::DagBuilder& builder, const Call& call,
                         absl::Span<const Operand> operands, const TensorType& result,
                         const std::string& name) {
  const std::vector<int64_t>& from = call.operands[0].shape;
  return Place(builder, operands[0], result, name, [&](const Indices& axes) {
    // Dimensions of both sides, from the back, in groups of equally many elements.
    Indices at(from.size());
    size_t f = from.size(), t = result.shape.size();
    while (f > 0) {
      size_t f_begin = f, t_begin = t;
      int64_t f_count = 1, t_count = 1;
      do {
        if (f_count <= t_count && f_begin > 0) {
          f_count *= from[--f_begin];
        } else {
          t_count *= result.shape[--t_begin];
        }
      } while (f_count != t_count);
      // What is of extent 1 in front of the group belongs to nothing.
      ir::Expr flat = 0;
      int64_t stride = 1;
      for (size_t d = t; d-- > t_begin;) {
        if (result.shape[d] > 1) {
          const ir::Expr part = stride == 1 ? axes[d] : axes[d] * ir::Expr(stride);
          flat = ir::IsConst(flat, 0) ? part : part + flat;
        }
        stride *= result.shape[d];
      }
      int64_t divisor = 1;
      for (size_t d = f; d-- > f_begin;) {
        ir::Expr index = 0;
        if (from[d] > 1) {
          index = divisor == 1 ? flat : flat / ir::Expr(divisor);
          if (divisor * from[d] < f_count) index = index % ir::Expr(from[d]);
        }
        at[d] = index;
        divisor *= from[d];
      }
      f = f_begin;
      t = t_begin;
    }
    return at;
  });
}

// --- transpose

absl::StatusOr<TensorType> InferTranspose(const Call& call) {
  const TensorType& x = call.operands[0];
  const std::vector<int64_t>& order = call.Ints("order");
  TESSERA_RETURN_IF_ERROR(CheckLength("order", order, x.shape.size()));
  std::vector<int64_t> sorted = order, all(order.size());
  std::ranges::sort(sorted);
  std::iota(all.begin(), all.end(), 0);
  if (sorted != all) {
    return absl::InvalidArgumentError(
        absl::StrCat("order is ", Shown(order), "; it has to name each dimension once"));
  }
  TensorType result{x.element, {}, {}};
  for (const int64_t d : order) result.shape.push_back(x.shape[d]);
  return result;
}
ir::Buffer DefineTranspose(te::DagBuilder& builder, const Call& call,
                           absl::Span<const Operand> operands, const TensorType& result,
                           const std::string& name) {
  const std::vector<int64_t>& order = call.Ints("order");
  return Place(builder, operands[0], result, name, [&](const Indices& axes) {
    Indices from(order.size());
    for (size_t d = 0; d < order.size(); ++d) from[order[d]] = axes[d];
    return from;
  });
}

// --- broadcast_to

absl::StatusOr<TensorType> InferBroadcast(const Call& call) {
  const TensorType& x = call.operands[0];
  TensorType result{x.element, call.Ints("shape"), {}};
  TESSERA_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, BroadcastShape({x, result}));
  if (shape != result.shape) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape is ", Shown(result.shape), ", to which it does not broadcast"));
  }
  return result;
}
ir::Buffer DefineBroadcast(te::DagBuilder& builder, const Call&, absl::Span<const Operand> operands,
                           const TensorType& result, const std::string& name) {
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    return BroadcastAt(operands[0], axes, result.shape);
  });
}

// --- slice: elements starts, starts + steps, … as many as `shape` says

absl::StatusOr<TensorType> InferSlice(const Call& call) {
  const TensorType& x = call.operands[0];
  const auto &starts = call.Ints("starts"), &steps = call.Ints("steps"),
             &shape = call.Ints("shape");
  for (const auto& [name, values] :
       {std::pair("starts", &starts), std::pair("steps", &steps), std::pair("shape", &shape)}) {
    TESSERA_RETURN_IF_ERROR(CheckLength(name, *values, x.shape.size()));
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t extent = x.shape[d];
    const bool fits = shape[d] >= 1 && shape[d] <= extent && steps[d] != 0 &&
                      steps[d] > -extent - 1 && steps[d] < extent + 1 && starts[d] >= 0 &&
                      starts[d] < extent;
    const int64_t last = fits ? starts[d] + steps[d] * (shape[d] - 1) : -1;
    if (fits && last >= 0 && last < extent) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("takes ", shape[d], " elements from ", starts[d], " on, each ", steps[d],
                     " further, of dimension ", d, ", which has ", extent));
  }
  return TensorType{x.element, shape, {}};
}
ir::Buffer DefineSlice(te::DagBuilder& builder, const Call& call,
                       absl::Span<const Operand> operands, const TensorType& result,
                       const std::string& name) {
  const auto &starts = call.Ints("starts"), &steps = call.Ints("steps");
  return Place(builder, operands[0], result, name, [&](const Indices& axes) {
    Indices from;
    for (size_t d = 0; d < starts.size(); ++d) {
      const ir::Expr moved = steps[d] == 1 ? axes[d] : axes[d] * ir::Expr(steps[d]);
      from.push_back(starts[d] == 0 ? moved : moved + ir::Expr(starts[d]));
    }
    return from;
  });
}

// --- concat

absl::StatusOr<TensorType> InferConcat(const Call& call) {
  TensorType result = call.operands[0];
  result.layout.clear();
  const int axis = AxisOf(call.Int("axis"), result.shape.size());
  if (axis < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"), " of ", result.shape.size(), " dimensions"));
  }
  for (const TensorType& part : call.operands.subspan(1)) {
    TensorType like = part;
    like.layout.clear();
    if (like.shape.size() == result.shape.size()) like.shape[axis] = result.shape[axis];
    if (like != result) {
      return absl::InvalidArgumentError(
          absl::StrCat("parts have to agree but along dimension ", axis));
    }
    result.shape[axis] += part.shape[axis];
  }
  return result;
}
ir::Buffer DefineConcat(te::DagBuilder& builder, const Call& call,
                        absl::Span<const Operand> operands, const TensorType& result,
                        const std::string& name) {
  const int axis = AxisOf(call.Int("axis"), result.shape.size());
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    int64_t end = result.shape[axis];
    ir::Expr value;
    for (size_t i = operands.size(); i-- > 0;) {
      const int64_t begin = end - operands[i].type().shape[axis];
      Indices from = axes;
      if (begin > 0) from[axis] = axes[axis] - ir::Expr(begin);
      const ir::Expr part = operands[i].At(from);
      value = value ? ir::MakeSelect(ir::Lt(axes[axis], ir::Expr(end)), part, value) : part;
      end = begin;
    }
    return value;
  });
}

// --- pad: so many elements before and behind, of a value, the nearest one or the mirrored

absl::StatusOr<TensorType> InferPad(const Call& call) {
  TensorType result = call.operands[0];
  result.layout.clear();
  const auto &before = call.Ints("before"), &behind = call.Ints("behind");
  TESSERA_RETURN_IF_ERROR(CheckLength("before", before, result.shape.size()));
  TESSERA_RETURN_IF_ERROR(CheckLength("behind", behind, result.shape.size()));
  const std::string& mode = call.Word("mode");
  if (mode != "constant" && mode != "edge" && mode != "reflect") {
    return absl::InvalidArgumentError(
        absl::StrCat("mode is ", mode, "; it can be constant, edge or reflect"));
  }
  for (size_t d = 0; d < before.size(); ++d) {
    const int64_t most = mode == "reflect" ? result.shape[d] - 1 : kMaxTensorBytes;
    if (before[d] < 0 || behind[d] < 0 || before[d] > most || behind[d] > most) {
      return absl::InvalidArgumentError(absl::StrCat("pads dimension ", d, " by ", before[d],
                                                     " and ", behind[d],
                                                     "; both have to be from 0 "
                                                     "to ",
                                                     most));
    }
    result.shape[d] += before[d] + behind[d];
  }
  const double value = call.Float("value");
  if (mode == "constant" && !IsOfType(result.element, value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("value is ", value, ", which is no ", ir::ToString(result.element)));
  }
  return result;
}
ir::Buffer DefinePad(te::DagBuilder& builder, const Call& call, absl::Span<const Operand> operands,
                     const TensorType& result, const std::string& name) {
  const auto &before = call.Ints("before"), &behind = call.Ints("behind");
  const std::vector<int64_t>& shape = call.operands[0].shape;
  const std::string& mode = call.Word("mode");
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    ir::Expr inside;
    Indices from;
    for (size_t d = 0; d < shape.size(); ++d) {
      ir::Expr at = before[d] == 0 ? axes[d] : axes[d] - ir::Expr(before[d]);
      const ir::Expr last(shape[d] - 1);
      if (mode == "constant") {
        if (before[d] > 0) inside = ir::And(inside, ir::Le(ir::Expr(before[d]), axes[d]));
        if (behind[d] > 0) {
          inside = ir::And(inside, ir::Lt(axes[d], ir::Expr(before[d] + shape[d])));
        }
      } else if (mode == "edge") {
        if (before[d] > 0) at = ir::Max(at, ir::Expr(0));
        if (behind[d] > 0) at = ir::Min(at, last);
      } else {
        if (before[d] > 0) at = ir::Max(at, ir::Expr(0) - at);
        if (behind[d] > 0) at = ir::Min(at, ir::Expr(2 * (shape[d] - 1)) - at);
      }
      from.push_back(at);
    }
    const ir::Expr value = operands[0].At(from);
    if (!inside) return value;
    return ir::MakeSelect(inside, value, ir::MakeConst(result.element, call.Float("value")));
  });
}

// --- gather: slices along an axis, whose numbers the second operand has

absl::StatusOr<TensorType> InferGather(const Call& call) {
  const TensorType &x = call.operands[0], &at = call.operands[1];
  const int axis = AxisOf(call.Int("axis"), x.shape.size());
  if (axis < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"), " of ", x.shape.size(), " dimensions"));
  }
  if (!at.element.is_integer()) return absl::InvalidArgumentError("indices have to be integers");
  TensorType result{x.element, x.shape, {}};
  result.shape.erase(result.shape.begin() + axis);
  result.shape.insert(result.shape.begin() + axis, at.shape.begin(), at.shape.end());
  return result;
}
// Indices count from the back where they are negative; those beyond take the nearest slice, so
// that none reads outside.
ir::Expr IndexWithin(const ir::Expr& given, int64_t extent) {
  ir::Expr index = As(ir::Index(), given);
  index = ir::MakeSelect(ir::Lt(index, ir::Expr(0)), index + ir::Expr(extent), index);
  return ir::Max(ir::Min(index, ir::Expr(extent - 1)), ir::Expr(0));
}
ir::Buffer DefineGather(te::DagBuilder& builder, const Call& call,
                        absl::Span<const Operand> operands, const TensorType& result,
                        const std::string& name) {
  const std::vector<int64_t>& shape = call.operands[0].shape;
  const auto axis = static_cast<size_t>(AxisOf(call.Int("axis"), shape.size()));
  const size_t rank = call.operands[1].shape.size();
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    const Indices which(axes.begin() + static_cast<int64_t>(axis),
                        axes.begin() + static_cast<int64_t>(axis + rank));
    Indices from(axes.begin(), axes.begin() + static_cast<int64_t>(axis));
    from.push_back(IndexWithin(operands[1].At(which), shape[axis]));
    if (!result.shape.empty()) {
      from.insert(from.end(), axes.begin() + static_cast<int64_t>(axis + rank), axes.end());
    }
    return operands[0].At(from);
  });
}

// --- gather_elements: of each place the element that the second operand names along an axis

absl::StatusOr<TensorType> InferGatherElements(const Call& call) {
  const TensorType &x = call.operands[0], &at = call.operands[1];
  const int axis = AxisOf(call.Int("axis"), x.shape.size());
  if (axis < 0 || !at.element.is_integer() || at.shape.size() != x.shape.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis is ", call.Int("axis"),
                     "; it has to name a dimension, and indices are integers of as many"));
  }
  for (size_t d = 0; d < x.shape.size(); ++d) {
    if (static_cast<int>(d) == axis || at.shape[d] <= x.shape[d]) continue;
    return absl::InvalidArgumentError(absl::StrCat("there are indices for ", at.shape[d], " of ",
                                                   x.shape[d], " elements of dimension ", d));
  }
  return TensorType{x.element, at.shape, {}};
}
ir::Buffer DefineGatherElements(te::DagBuilder& builder, const Call& call,
                                absl::Span<const Operand> operands, const TensorType& result,
                                const std::string& name) {
  const std::vector<int64_t>& shape = call.operands[0].shape;
  const auto axis = static_cast<size_t>(AxisOf(call.Int("axis"), shape.size()));
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    Indices from = axes;
    from[axis] = IndexWithin(operands[1].At(axes), shape[axis]);
    return operands[0].At(from);
  });
}

}  // namespace

std::vector<Operator> ShapeOperators() {
  const std::vector<int64_t> list;
  return {
      {"reshape", 1, 1, Pattern::kInjective, {{"shape", list, true}}, InferReshape, DefineReshape},
      {"transpose",
       1,
       1,
       Pattern::kInjective,
       {{"order", list, true}},
       InferTranspose,
       DefineTranspose},
      {"broadcast_to",
       1,
       1,
       Pattern::kInjective,
       {{"shape", list, true}},
       InferBroadcast,
       DefineBroadcast},
      {"slice",
       1,
       1,
       Pattern::kInjective,
       {{"starts", list, true}, {"steps", list, true}, {"shape", list, true}},
       InferSlice,
       DefineSlice},
      {"concat",
       1,
       kMaxKernelTensors - 1,
       Pattern::kInjective,
       {{"axis", int64_t{0}, true}},
       InferConcat,
       DefineConcat},
      {"pad",
       1,
       1,
       Pattern::kInjective,
       {{"before", list, true},
        {"behind", list, true},
        {"mode", std::string("constant")},
        {"value", 0.0}},
       InferPad,
       DefinePad},
      {"gather", 2, 2, Pattern::kInjective, {{"axis", int64_t{0}}}, InferGather, DefineGather},
      {"gather_elements",
       2,
       2,
       Pattern::kInjective,
       {{"axis", int64_t{0}}},
       InferGatherElements,
       DefineGatherElements},
  };
}

}  // namespace tessera::graph
