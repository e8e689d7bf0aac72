#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "compiler/te/saturating.h"
#include "frontend/onnx/converters.h"

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// Along which a reduction goes, as attributes of graphs' operators; `is_none`: along none.
graph::Attributes Along(Call& call, int input_since, bool& is_none) {
  const Shape axes = call.Axes(1, input_since);
  is_none = call.Int("noop_with_empty_axes", 0) != 0 && axes.empty();
  for (const int64_t axis : axes) call.Axis(axis, call.emit.Rank(call.In(0)));
  return {{"axes", axes}, {"keep", call.Int("keepdims", 1)}};
}

// What is reduced is first made of each element, and last something of the result; null: nothing.
Converter Reduce(const char* first, const char* op, const char* last, int input_since = 18) {
  return [=](Call& call) -> Values {
    Value x = call.In(0);
    bool is_none = false;
    const graph::Attributes along = Along(call, input_since, is_none);
    if (is_none) return {x};
    if (first != nullptr && std::string_view(first) == "square") {
      x = call.emit.Add("mul", {x, x});
    } else if (first != nullptr) {
      x = call.emit.Add(first, {x});
    }
    const Value reduced = call.emit.Add(op, {x}, along);
    return {last == nullptr ? reduced : call.emit.Add(last, {reduced})};
  };
}

// log Σ exp x = m + log Σ exp (x - m), of the largest m.
Values LogSumExp(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  bool is_none = false;
  graph::Attributes along = Along(call, 18, is_none);
  if (is_none) return {x};
  const Value largest = emit.Add("reduce_max", {x}, {{"axes", along.at("axes")}});
  const Value powers = emit.Add("exp", {emit.Add("sub", {x, largest})});
  const Value sum = emit.Add("log", {emit.Add("reduce_sum", {powers}, along)});
  return {emit.Add("add", {sum, emit.Reshape(largest, emit.Shape(sum))})};
}

// Positions are i64 in models. The last of equals is the first from behind.
Converter Argument(const char* op) {
  return [op](Call& call) -> Values {
    Emitter& emit = call.emit;
    Value x = call.In(0);
    const size_t axis = call.Axis(call.Int("axis", 0), emit.Rank(x));
    const bool is_last = call.Int("select_last_index", 0) != 0,
               keeps = call.Int("keepdims", 1) != 0;
    if (!call.ok()) return {};
    const int64_t extent = emit.Extent(x, axis);
    if (is_last) x = emit.Slice(x, axis, extent - 1, extent, -1);
    Value at = emit.Cast(emit.Add(op, {x}, {{"axis", static_cast<int64_t>(axis)}}), ir::Int(64));
    if (is_last) {
      at = emit.Add("sub", {emit.Number(static_cast<double>(extent - 1), ir::Int(64)), at});
    }
    Shape shape = emit.Shape(at);
    if (!keeps && call.ok()) shape.erase(shape.begin() + static_cast<int64_t>(axis));
    return {emit.Reshape(at, shape)};
  };
}

// Before opset 13 the dimensions from the axis on are one.
using AlongAxisOf = Value (*)(Emitter& emit, const Value& x, size_t axis);
Converter ByRows(AlongAxisOf function) {
  return [function](Call& call) -> Values {
    Emitter& emit = call.emit;
    const Value x = call.In(0);
    const bool flattens = call.opset < 13;
    const size_t axis = call.Axis(call.Int("axis", flattens ? 1 : -1), emit.Rank(x));
    if (!call.ok()) return {};
    if (!flattens) return {function(emit, x, axis)};
    const Shape shape = emit.Shape(x);
    const auto middle = shape.begin() + static_cast<int64_t>(axis);
    const Shape front(shape.begin(), middle), row(middle, shape.end());
    const Value flat = emit.Reshape(x, {te::SaturatingProduct(front), te::SaturatingProduct(row)});
    return {emit.Reshape(function(emit, flat, 1), shape)};
  };
}
Value Softmax(Emitter& emit, const Value& x, size_t axis) {
  return emit.Add("softmax", {x}, {{"axis", static_cast<int64_t>(axis)}});
}
Value LogSoftmax(Emitter& emit, const Value& x, size_t axis) {
  return emit.Add("log_softmax", {x}, {{"axis", static_cast<int64_t>(axis)}});
}
// 1 at the first of the largest, else 0.
Value Hardmax(Emitter& emit, const Value& x, size_t axis) {
  const Value at = emit.Add("argmax", {x}, {{"axis", static_cast<int64_t>(axis)}});
  Shape along(emit.Rank(x), 1);
  along[axis] = emit.Extent(x, axis);
  const Value places = emit.Counted(along[axis], ir::Int(32), along);
  return emit.Cast(emit.Add("equal", {at, places}), emit.Element(x));
}

// Sums of all elements up to each: products with a triangle of ones.
Values CumSum(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const Shape given = call.KnownInts(1, "axis");
  const bool is_exclusive = call.Int("exclusive", 0) != 0, is_reverse = call.Int("reverse", 0) != 0;
  if (!call.ok() || given.size() != 1) return call.Invalid("axis has to be a number");
  const size_t axis = call.Axis(given[0], emit.Rank(x));
  if (!call.ok()) return {};
  const int64_t extent = emit.Extent(x, axis);
  const Value from = emit.Counted(extent, ir::Int(64), {extent, 1}),
              to = emit.Counted(extent, ir::Int(64), {extent});
  const Value triangle = emit.Add(is_exclusive ? "less" : "less_equal",
                                  is_reverse ? Values{to, from} : Values{from, to});
  // The axis is the last one for the product.
  Shape order(emit.Rank(x));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[axis], order.back());
  const Value last = emit.Transpose(x, order);
  const Shape shape = emit.Shape(last);
  if (!call.ok()) return {};
  const Value rows = emit.Reshape(last, {emit.Type(x).ElementCount() / extent, extent});
  const Value sums = Product(emit, rows, emit.Cast(triangle, emit.Element(x)));
  return {emit.Cast(emit.Transpose(emit.Reshape(sums, shape), order), emit.Element(x))};
}

Values LpNormalization(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const int64_t p = call.Int("p", 2);
  const size_t axis = call.Axis(call.Int("axis", -1), emit.Rank(x));
  if (p != 1 && p != 2) return call.Fail(absl::StrCat("p is ", p, "; it can be 1 or 2"));
  const Value sizes = p == 1 ? emit.Add("abs", {x}) : emit.Add("mul", {x, x});
  const Value sum = emit.Add("reduce_sum", {sizes}, {{"axes", Shape{static_cast<int64_t>(axis)}}});
  return {emit.Add("div", {x, p == 1 ? sum : emit.Add("sqrt", {sum})})};
}

}  // namespace

std::vector<Row> ReductionRows() {
  return {{"ArgMax", Argument("argmax")},
          {"ArgMin", Argument("argmin")},
          {"CumSum", CumSum},
          {"Hardmax", ByRows(Hardmax)},
          {"LogSoftmax", ByRows(LogSoftmax)},
          {"LpNormalization", LpNormalization},
          {"ReduceL1", Reduce("abs", "reduce_sum", nullptr)},
          {"ReduceL2", Reduce("square", "reduce_sum", "sqrt")},
          {"ReduceLogSum", Reduce(nullptr, "reduce_sum", "log")},
          {"ReduceLogSumExp", LogSumExp},
          {"ReduceMax", Reduce(nullptr, "reduce_max", nullptr)},
          {"ReduceMean", Reduce(nullptr, "reduce_mean", nullptr)},
          {"ReduceMin", Reduce(nullptr, "reduce_min", nullptr)},
          {"ReduceProd", Reduce(nullptr, "reduce_prod", nullptr)},
          {"ReduceSum", Reduce(nullptr, "reduce_sum", nullptr, 13)},
          {"ReduceSumSquare", Reduce("square", "reduce_sum", nullptr)},
          {"Softmax", ByRows(Softmax)}};
}

}  // namespace tessera::frontend
