#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "compiler/graph/families.h"
#include "compiler/te/saturating.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

// What only changes shapes, and what makes tensors of numbers that are known.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

Value Known(const Shape& values) {
  return {-1, IntTensor(values, {static_cast<int64_t>(values.size())})};
}

int64_t Count(const Shape& shape) {
  return std::ranges::count(shape, 0) > 0 ? 0 : te::SaturatingProduct(shape);
}

// Of the dimensions from `start` up to `end`, both counted from the back where they are negative.
Values ShapeOf(Call& call) {
  const Shape& shape = call.emit.Shape(call.In(0));
  const auto rank = static_cast<int64_t>(shape.size());
  const auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t start = bound(call.Int("start", 0)), end = bound(call.Int("end", rank));
  return {Known({shape.begin() + start, shape.begin() + std::max(start, end)})};
}

Values Size(Call& call) { return {{-1, IntTensor({Count(call.emit.Shape(call.In(0)))}, {})}}; }

Values Constant(Call& call) {
  Emitter& emit = call.emit;
  if (call.HasAttribute("value")) return {call.Tensor("value")};
  if (call.HasAttribute("value_int")) return {{-1, IntTensor({call.Int("value_int", 0)}, {})}};
  if (call.HasAttribute("value_ints")) return {Known(call.Ints("value_ints"))};
  if (call.HasAttribute("value_float")) {
    return {emit.Number(call.Float("value_float", 0), ir::Float(32))};
  }
  if (call.HasAttribute("value_floats")) {
    const std::vector<double> values = call.Floats("value_floats");
    return {emit.Known(ir::Float(32), {static_cast<int64_t>(values.size())}, values)};
  }
  return call.Fail(
      "has neither value nor value_int, value_ints, value_float or value_floats; "
      "others are not supported");
}

// A number everywhere; without dimensions, or elements, it is known.
Value Filled(Call& call, const Value& number, const Shape& shape) {
  if (std::ranges::any_of(shape, [](int64_t extent) { return extent < 0; })) {
    call.Invalid("an extent of the shape is negative");
    return {};
  }
  if (Count(shape) == 0) {
    auto none = std::make_shared<graph::Tensor>();
    none->type = {call.emit.Element(number), shape, {}};
    return {-1, none};
  }
  return call.emit.Broadcast(number, shape);
}

Values ConstantOfShape(Call& call) {
  Value number = call.emit.Number(0, ir::Float(32));
  if (call.HasAttribute("value")) {
    number = call.Tensor("value");
    if (call.ok() && Count(call.emit.Shape(number)) != 1) {
      return call.Invalid("value has to be of one element");
    }
    number = call.emit.Reshape(number, {});
  }
  const Shape shape = call.KnownInts(0, "shape");
  if (!call.ok()) return {};
  return {Filled(call, number, shape)};
}

Values Range(Call& call) {
  Emitter& emit = call.emit;
  const auto start = call.KnownNumbers(0, "start"), limit = call.KnownNumbers(1, "limit"),
             delta = call.KnownNumbers(2, "delta");
  if (!call.ok()) return {};
  if (start.size() != 1 || limit.size() != 1 || delta.size() != 1 || delta[0] == 0) {
    return call.Invalid("start, limit and delta have to be numbers, delta not 0");
  }
  const double count = std::ceil((limit[0] - start[0]) / delta[0]);
  const ir::Type type = emit.Element(call.In(0));
  if (!(count > 0)) return {Filled(call, emit.Number(0, type), {0})};
  if (count > 1 << 20)
    return call.Fail(absl::StrCat("makes ", count, " numbers; 2^20 are the most"));
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = start[0] + static_cast<double>(i) * delta[0];
  }
  return {emit.Known(type, {static_cast<int64_t>(values.size())}, values)};
}

Values Expand(Call& call) {
  const Value x = call.In(0);
  const Shape shape = call.KnownInts(1, "shape");
  if (!call.ok()) return {};
  if (Count(shape) == 0) return {Filled(call, x, shape)};
  const graph::TensorType type = call.emit.Type(x), wanted{type.element, shape, {}};
  const auto both = graph::BroadcastShape({type, wanted});
  if (!both.ok()) return call.Invalid(std::string(both.status().message()));
  return {call.emit.Broadcast(x, *both)};
}

// Each repeated dimension gets one in front that is broadcast, and both become one.
Values Tile(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const Shape shape = emit.Shape(x), repeats = call.KnownInts(1, "repeats");
  if (!call.ok()) return {};
  if (repeats.size() != shape.size() ||
      std::ranges::any_of(repeats, [](int64_t times) { return times < 1; })) {
    return call.Invalid("repeats has to have a positive entry for each dimension");
  }
  Shape apart, wide, result;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (repeats[d] > 1) {
      apart.push_back(1);
      wide.push_back(repeats[d]);
    }
    apart.push_back(shape[d]);
    wide.push_back(shape[d]);
    result.push_back(te::SaturatingMultiply(shape[d], repeats[d]));
  }
  return {emit.Reshape(emit.Broadcast(emit.Reshape(x, apart), wide), result)};
}

// 0 copies an extent, -1 takes what is left.
Values Reshape(Call& call) {
  const Value x = call.In(0);
  const Shape from = call.emit.Shape(x);
  Shape shape = call.KnownInts(1, "shape");
  const bool zero_is_zero = call.Int("allowzero", 0) != 0;
  if (!call.ok()) return {};
  int64_t open = -1;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0 && !zero_is_zero) {
      if (d >= from.size()) {
        return call.Invalid(absl::StrCat("copies dimension ", d, " of ", from.size()));
      }
      shape[d] = from[d];
    } else if (shape[d] == -1 && open < 0) {
      open = static_cast<int64_t>(d);
      shape[d] = 1;
    } else if (shape[d] < 0) {
      return call.Invalid(absl::StrCat("the shape has an extent of ", shape[d]));
    }
  }
  if (open >= 0 && Count(shape) > 0) shape[open] = Count(from) / Count(shape);
  return {call.emit.Reshape(x, shape)};
}

Values Flatten(Call& call) {
  const Value x = call.In(0);
  const Shape& shape = call.emit.Shape(x);
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t axis = call.Int("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank) return call.Invalid("axis is beyond the dimensions");
  const Shape front(shape.begin(), shape.begin() + axis), back(shape.begin() + axis, shape.end());
  return {call.emit.Reshape(x, {Count(front), Count(back)})};
}

Values Squeeze(Call& call) {
  const Value x = call.In(0);
  const Shape& shape = call.emit.Shape(x);
  const Shape axes = call.Axes(1, 13);
  if (!call.ok()) return {};
  std::vector<bool> is_gone(shape.size(), false);
  for (size_t d = 0; d < shape.size(); ++d) is_gone[d] = axes.empty() && shape[d] == 1;
  for (const int64_t axis : axes) {
    const size_t d = call.Axis(axis, shape.size());
    if (!call.ok()) return {};
    if (shape[d] != 1) return call.Invalid(absl::StrCat("dimension ", d, " has ", shape[d]));
    is_gone[d] = true;
  }
  Shape left;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!is_gone[d]) left.push_back(shape[d]);
  }
  return {call.emit.Reshape(x, left)};
}

// Axes are places in the result.
Values Unsqueeze(Call& call) {
  const Value x = call.In(0);
  Shape shape = call.emit.Shape(x);
  const Shape axes = call.Axes(1, 13);
  const size_t rank = shape.size() + axes.size();
  if (rank > graph::kMaxRank) return call.Fail(absl::StrCat("makes ", rank, " dimensions"));
  std::vector<size_t> places;
  for (const int64_t axis : axes) places.push_back(call.Axis(axis, rank));
  if (!call.ok()) return {};
  std::ranges::sort(places);
  if (std::ranges::adjacent_find(places) != places.end()) {
    return call.Invalid("axes name a dimension twice");
  }
  for (const size_t d : places) shape.insert(shape.begin() + static_cast<int64_t>(d), 1);
  return {call.emit.Reshape(x, shape)};
}

Values Transpose(Call& call) {
  const Value x = call.In(0);
  Shape order = call.Ints("perm");
  if (order.empty()) {
    order.resize(call.emit.Rank(x));
    std::iota(order.rbegin(), order.rend(), 0);
  }
  return {call.emit.Transpose(x, order)};
}

Values Concat(Call& call) {
  for (size_t i = 0; i < call.inputs(); ++i) call.In(i);
  const size_t axis = call.Axis(call.Int("axis", 0), call.emit.Rank(call.In(0)));
  if (!call.ok()) return {};
  return {call.emit.Concat(call.All(), static_cast<int64_t>(axis))};
}

// Whether a matrix's element at row i and column j has j - i = k, or at least k.
Value Diagonal(Emitter& emit, int64_t rows, int64_t columns, int64_t k, const char* compare) {
  const ir::Type type = ir::Int(64);
  const Value row = emit.Counted(rows, type, {rows, 1}),
              column = emit.Counted(columns, type, {columns});
  const Value moved = emit.Add("add", {row, emit.Number(static_cast<double>(k), type)});
  return emit.Add(compare, {moved, column});
}

Values EyeLike(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  if (!call.CheckRank(x, 2, 2)) return {};
  ir::Type type = emit.Element(x);
  if (call.HasAttribute("dtype")) {
    const auto wanted = ElementType(call.Int("dtype", 0));
    if (!wanted.ok()) return call.Fail(std::string(wanted.status().message()));
    type = *wanted;
  }
  const int64_t k = call.Int("k", 0);
  return {emit.Cast(Diagonal(emit, emit.Extent(x, 0), emit.Extent(x, 1), k, "equal"), type)};
}

Values Trilu(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  if (!call.CheckRank(x, 2)) return {};
  int64_t k = 0;
  if (call.Has(1)) {
    const Shape given = call.KnownInts(1, "k");
    if (given.size() != 1) return call.Invalid("k has to be a number");
    k = given[0];
  }
  const bool is_upper = call.Int("upper", 1) != 0;
  const size_t rank = emit.Rank(x);
  const int64_t rows = emit.Extent(x, rank - 2), columns = emit.Extent(x, rank - 1);
  // Of the lower triangle what is kept is that not above the k-th diagonal.
  k = std::clamp(k, -rows - 1, columns + 1);
  const Value upper = Diagonal(emit, rows, columns, is_upper ? k : k + 1, "less_equal");
  const Value zero = emit.Number(0, x);
  return {is_upper ? emit.Where(upper, x, zero) : emit.Where(upper, zero, x)};
}

}  // namespace

std::vector<Row> ShapeRows() {
  return {{"Concat", Concat},       {"Constant", Constant}, {"ConstantOfShape", ConstantOfShape},
          {"Expand", Expand},       {"EyeLike", EyeLike},   {"Flatten", Flatten},
          {"Range", Range},         {"Reshape", Reshape},   {"Shape", ShapeOf},
          {"Size", Size},           {"Squeeze", Squeeze},   {"Tile", Tile},
          {"Transpose", Transpose}, {"Trilu", Trilu},       {"Unsqueeze", Unsqueeze}};
}

}  // namespace tessera::frontend
