#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// What inference does: scales and shifts that are known become numbers of each channel.
Values BatchNormalization(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), scale = call.In(1), shift = call.In(2), mean = call.In(3),
              variance = call.In(4);
  const double epsilon = call.Float("epsilon", 1e-5);
  call.Ignore({"momentum"});
  const bool trains = call.Int("training_mode", 0) != 0, is_spatial = call.Int("spatial", 1) != 0;
  if (!call.CheckRank(x, 2)) return {};
  if (trains || !is_spatial) {
    return call.Fail("training_mode and spatial=0 are not supported; export for inference");
  }
  for (size_t output = 1; output < call.outputs(); ++output) {
    if (call.Wants(output)) return call.Fail("has outputs of training; export for inference");
  }
  const Value by = emit.Add(
      "div",
      {scale, emit.Add("sqrt", {emit.Add("add", {variance, emit.Number(epsilon, variance)})})});
  const Value moved = emit.Add("sub", {shift, emit.Add("mul", {mean, by})});
  const ir::Type type = emit.Element(x);
  return {ScaleChannels(emit, x, emit.Cast(by, type), emit.Cast(moved, type))};
}

struct Standardized {
  Value value, mean, inverse;  // (x - mean) · inverse
};
Standardized Standardize(Emitter& emit, const Value& x, const Shape& axes, double epsilon) {
  Standardized made;
  made.mean = emit.Add("reduce_mean", {x}, {{"axes", axes}});
  const Value centred = emit.Add("sub", {x, made.mean});
  const Value variance =
      emit.Add("reduce_mean", {emit.Add("mul", {centred, centred})}, {{"axes", axes}});
  const Value root = emit.Add("sqrt", {emit.Add("add", {variance, emit.Number(epsilon, x)})});
  made.inverse = emit.Add("reciprocal", {root});
  made.value = emit.Add("mul", {centred, made.inverse});
  return made;
}

Shape From(size_t first, size_t rank) {
  Shape axes(rank - first);
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(first));
  return axes;
}

Values InstanceNormalization(Call& call) {
  const Value x = call.In(0), scale = call.In(1), shift = call.In(2);
  const double epsilon = call.Float("epsilon", 1e-5);
  if (!call.CheckRank(x, 3)) return {};
  const Standardized made = Standardize(call.emit, x, From(2, call.emit.Rank(x)), epsilon);
  return {ScaleChannels(call.emit, made.value, scale, shift)};
}

// Scale and shift are of groups before opset 21, then of channels.
Values GroupNormalization(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), scale = call.In(1), shift = call.In(2);
  const double epsilon = call.Float("epsilon", 1e-5);
  const int64_t groups = call.Int("num_groups", 0);
  call.Ignore({"stash_type"});
  if (!call.CheckRank(x, 3)) return {};
  const Shape shape = emit.Shape(x);
  if (groups < 1 || shape[1] % groups != 0) {
    return call.Invalid(absl::StrCat("num_groups is ", groups, " of ", shape[1], " channels"));
  }
  const int64_t row = emit.Type(x).ElementCount() / shape[0] / groups;
  const Value apart = emit.Reshape(x, {shape[0], groups, row});
  Value made = Standardize(emit, apart, {2}, epsilon).value;
  if (call.opset < 21) made = ScaleChannels(emit, made, scale, shift);
  made = emit.Reshape(made, shape);
  return {call.opset < 21 ? made : ScaleChannels(emit, made, scale, shift)};
}

Values LayerNormalization(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  Values operands{x, call.In(1)};
  if (call.Has(2)) operands.push_back(call.In(2));
  const size_t rank = emit.Rank(x), axis = call.Axis(call.Int("axis", -1), rank);
  const double epsilon = call.Float("epsilon", 1e-5);
  call.Ignore({"stash_type"});  // sums are f32 at least
  if (!call.ok()) return {};
  const Shape shape = emit.Shape(x), row(shape.begin() + static_cast<int64_t>(axis), shape.end());
  for (size_t i = 1; i < operands.size(); ++i) operands[i] = emit.Broadcast(operands[i], row);
  Values outputs{emit.Add("layer_norm", operands,
                          {{"axis", static_cast<int64_t>(axis)}, {"epsilon", epsilon}})};
  if (call.Wants(1) || call.Wants(2)) {
    const Standardized made = Standardize(emit, x, From(axis, rank), epsilon);
    outputs.push_back(made.mean);
    outputs.push_back(made.inverse);
  }
  return outputs;
}

Values MeanVarianceNormalization(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  Shape axes = call.Ints("axes");
  if (axes.empty()) axes = {0, 2, 3};
  const Value centred = emit.Add("sub", {x, emit.Add("reduce_mean", {x}, {{"axes", axes}})});
  const Value variance =
      emit.Add("reduce_mean", {emit.Add("mul", {centred, centred})}, {{"axes", axes}});
  const Value deviation = emit.Add("add", {emit.Add("sqrt", {variance}), emit.Number(1e-9, x)});
  return {emit.Add("div", {centred, deviation})};
}

// The squares of `size` channels around each are averaged by a pool over channels.
Values Lrn(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const double alpha = call.Float("alpha", 1e-4), beta = call.Float("beta", 0.75),
               bias = call.Float("bias", 1);
  const int64_t size = call.Int("size", 0);
  if (!call.CheckRank(x, 3)) return {};
  const Shape shape = emit.Shape(x);
  if (size < 1 || size > 2 * shape[1]) {
    return call.Fail(absl::StrCat("size is ", size, " of ", shape[1], " channels"));
  }
  const int64_t places = emit.Type(x).ElementCount() / shape[0] / shape[1];
  const Value squares = emit.Reshape(emit.Add("mul", {x, x}), {shape[0], 1, shape[1], places});
  const Value means = emit.Add("avg_pool", {squares},
                               {{"kernel", Shape{size, 1}},
                                {"before", Shape{(size - 1) / 2, 0}},
                                {"behind", Shape{size / 2, 0}}});
  const Value scaled = emit.Add("mul", {emit.Reshape(means, shape), emit.Number(alpha, x)});
  const Value power =
      emit.Add("pow", {emit.Add("add", {scaled, emit.Number(bias, x)}), emit.Number(beta, x)});
  return {emit.Add("div", {x, power})};
}

}  // namespace

Value AlongAxis(Emitter& emit, const Value& numbers, const Value& x, size_t axis) {
  if (!emit.ok()) return {};
  if (emit.Type(numbers).ElementCount() == 1) return emit.Reshape(numbers, {});
  const size_t rank = emit.Rank(x);
  if (emit.Rank(numbers) != 1 || axis >= rank || emit.Extent(numbers, 0) != emit.Extent(x, axis)) {
    emit.Fail(absl::InvalidArgumentError(absl::StrCat(graph::ToString(emit.Type(numbers)),
                                                      " is not of the entries of dimension ", axis,
                                                      " of ", graph::ToString(emit.Type(x)))));
    return {};
  }
  Shape shape(rank - axis, 1);
  shape[0] = emit.Extent(x, axis);
  return emit.Reshape(numbers, shape);
}

Value ScaleChannels(Emitter& emit, const Value& x, const Value& scale, const Value& shift) {
  const Value scaled = emit.Add("mul", {x, AlongAxis(emit, scale, x, 1)});
  return shift.is_absent() ? scaled : emit.Add("add", {scaled, AlongAxis(emit, shift, x, 1)});
}

std::vector<Row> NormalizationRows() {
  return {{"BatchNormalization", BatchNormalization},
          {"GroupNormalization", GroupNormalization},
          {"InstanceNormalization", InstanceNormalization},
          {"LRN", Lrn},
          {"LayerNormalization", LayerNormalization},
          {"MeanVarianceNormalization", MeanVarianceNormalization}};
}

}  // namespace tessera::frontend
