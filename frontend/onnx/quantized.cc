#include <algorithm>

#include "absl/strings/str_cat.h"
#include "compiler/graph/quantized_weights.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

// Quantised tensors: integers q that stand for (q - zero) · scale.

namespace tessera::frontend {
namespace {

using Shape = std::vector<int64_t>;

// One known number repeated along a dimension of x, so that layers which differ in it are one
// kernel; other numbers as they are.
Value Repeated(Emitter& emit, const Value& number, const Value& x) {
  if (!emit.ok() || number.known == nullptr || emit.Type(number).ElementCount() != 1 ||
      emit.Element(number) != ir::Float(32)) {
    return number;
  }
  return {-1, graph::SameScale(number.known->At(0), emit.Shape(x))};
}

// Rounded to even, moved by the zero point, clamped to the type's range.
Value Rounded(Emitter& emit, const Value& steps, const Value& zero, ir::Type type) {
  if (OneZero(zero) == 0) return emit.Cast(steps, type, true);
  const Value by = Repeated(emit, emit.Cast(zero, emit.Element(steps)), steps);
  return emit.Cast(emit.Add("add", {emit.Add("round", {steps}), by}), type, true);
}

// Sums of products with one scale become those of another type and zero point.
Value Requantize(Emitter& emit, const Value& sums, const Value& scale_of_sums, const Value& scale,
                 const Value& zero, ir::Type type) {
  const Value by = Repeated(emit, emit.Add("div", {scale_of_sums, scale}), sums);
  return Rounded(emit, emit.Add("mul", {emit.Cast(sums, ir::Float(32)), by}), zero, type);
}

Value Quantize(Emitter& emit, const Value& x, const Value& scale, const Value& zero,
               ir::Type type) {
  const ir::Type wide = ir::Float(32);
  if (!emit.ok()) return {};
  if (x.integers != nullptr && emit.Element(x.integers->q) == ir::Int(32) &&
      OneZero(x.integers->zero) == 0 && emit.Element(scale) == wide) {
    return Requantize(emit, x.integers->q, x.integers->scale, scale, zero, type);
  }
  const Value by = Repeated(emit, emit.Cast(scale, wide), x);
  return Rounded(emit, emit.Add("div", {emit.Cast(x, wide), by}), zero, type);
}

Value Dequantize(Emitter& emit, const Value& x, const Value& scale, const Value& zero) {
  const ir::Type type = emit.Element(scale);
  // Integers of 8 and 16 bits are exact in f32.
  const bool is_exact = type == ir::Float(32) && emit.Element(x).bits < 32;
  const ir::Type wide = is_exact ? type : ir::Int(32);
  Value centred = emit.Cast(x, wide);
  if (OneZero(zero) != 0) {
    centred = emit.Add("sub", {centred, Repeated(emit, emit.Cast(zero, wide), x)});
  }
  Value numbers = emit.Add("mul", {emit.Cast(centred, type), Repeated(emit, scale, x)});
  if (emit.ok()) numbers.integers = std::make_shared<Integers>(x, scale, zero);
  return numbers;
}

// An input in a shape that broadcasts to x, of one number or one an entry of the axis; absent
// where it is left out.
Value Along(Call& call, size_t input, const Value& x, size_t axis) {
  return call.Has(input) ? AlongAxis(call.emit, call.In(input), x, axis) : Value{};
}

// One number needs no axis; others have one.
size_t AxisOf(Call& call, const Value& scale, const Value& x, int64_t otherwise) {
  const int64_t axis = call.Int("axis", otherwise);
  if (call.emit.Type(scale).ElementCount() == 1) return 0;
  return call.Axis(axis, call.emit.Rank(x));
}

bool CheckBlocks(Call& call) {
  if (call.Int("block_size", 0) != 0)
    call.Fail("block_size is not supported; quantise by channels");
  return call.ok();
}

Values QuantizeLinear(Call& call) {
  const Value x = call.In(0), scale = call.In(1);
  const size_t axis = AxisOf(call, scale, x, 1);
  call.Ignore({"saturate"});  // of types that are refused
  ir::Type type = ir::UInt(8);
  if (const int64_t given = call.Int("output_dtype", 0); given != 0) {
    const auto known = ElementType(given);
    if (!known.ok()) return call.Fail(std::string(known.status().message()));
    type = *known;
  }
  if (call.Has(2)) type = call.emit.Element(call.In(2));
  if (!CheckBlocks(call)) return {};
  return {Quantize(call.emit, x, Along(call, 1, x, axis), Along(call, 2, x, axis), type)};
}

Values DequantizeLinear(Call& call) {
  const Value x = call.In(0), scale = call.In(1);
  const size_t axis = AxisOf(call, scale, x, 1);
  if (!CheckBlocks(call)) return {};
  return {Dequantize(call.emit, x, Along(call, 1, x, axis), Along(call, 2, x, axis))};
}

// The range of the inputs and zero, in 255 steps.
Values DynamicQuantizeLinear(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), none = emit.Number(0, x);
  const graph::Attributes all{{"keep", int64_t{0}}};
  const Value high = emit.Add("max", {emit.Add("reduce_max", {x}, all), none});
  const Value low = emit.Add("min", {emit.Add("reduce_min", {x}, all), none});
  const Value scale = emit.Add("div", {emit.Add("sub", {high, low}), emit.Number(255, x)});
  const Value zero = emit.Cast(
      emit.Add("round", {emit.Add("neg", {emit.Add("div", {low, scale})})}), ir::UInt(8), true);
  return {Quantize(emit, x, scale, zero, ir::UInt(8)), scale, zero};
}

// Of a quantised convolution's operands x and w at these inputs.
Value IntegerConv(Call& call, size_t x_at, size_t w_at, size_t zero_x, size_t zero_w,
                  const Value& bias) {
  const Value x = call.In(x_at), w = call.In(w_at);
  const size_t rank = call.emit.Rank(x);
  if (!call.CheckRank(x, 3, 5) || !call.CheckRank(w, rank, rank)) return {};
  const Shape shape = call.emit.Shape(w), kernel(shape.begin() + 2, shape.end());
  const graph::Attributes windows = Windows(call, call.emit.Shape(x), kernel);
  const Shape given = call.Ints("kernel_shape");
  if (!given.empty() && given != kernel) call.Invalid("kernel_shape is not that of the weights");
  return IntegerConvolution(call.emit, x, Along(call, zero_x, x, 1), w, Along(call, zero_w, w, 0),
                            bias, call.Int("group", 1), windows);
}

Values ConvInteger(Call& call) { return {IntegerConv(call, 0, 1, 2, 3, {})}; }

// x, its scale and zero, w, its scale and zero, the result's scale and zero, bias.
Values QLinearConv(Call& call) {
  const Value sums = IntegerConv(call, 0, 3, 2, 5, call.Has(8) ? call.In(8) : Value{});
  const Value zero = Along(call, 7, sums, 1);
  const Value scale_of_sums =
      call.emit.Add("mul", {Along(call, 1, sums, 1), Along(call, 4, sums, 1)});
  return {Requantize(call.emit, sums, scale_of_sums, Along(call, 6, sums, 1), zero,
                     call.emit.Element(zero))};
}

// Zero points of rows of a and columns of b.
Value IntegerMatMul(Call& call, size_t a_at, size_t b_at, size_t zero_a, size_t zero_b) {
  const Value a = call.In(a_at), b = call.In(b_at);
  if (!call.CheckRank(a, 2) || !call.CheckRank(b, 2)) return {};
  return IntegerProduct(call.emit, a, Along(call, zero_a, a, call.emit.Rank(a) - 2), b,
                        Along(call, zero_b, b, call.emit.Rank(b) - 1), {});
}

Values MatMulInteger(Call& call) { return {IntegerMatMul(call, 0, 1, 2, 3)}; }

Values QLinearMatMul(Call& call) {
  const Value sums = IntegerMatMul(call, 0, 3, 2, 5);
  const size_t rank = call.emit.Rank(sums);
  if (!call.CheckRank(sums, 2)) return {};
  const Value zero = Along(call, 7, sums, rank - 1);
  const Value scale_of_sums =
      call.emit.Add("mul", {Along(call, 1, sums, rank - 2), Along(call, 4, sums, rank - 1)});
  return {Requantize(call.emit, sums, scale_of_sums, Along(call, 6, sums, rank - 1), zero,
                     call.emit.Element(zero))};
}

// --- com.microsoft, which quantised models are made of that have no QDQ: on numbers, with the
// result's scale and zero behind the operands'

Value Number(Call& call, size_t at) {
  const Value x = call.In(at);
  return Dequantize(call.emit, x, Along(call, at + 1, x, 0), Along(call, at + 2, x, 0));
}
Values Quantized(Call& call, const Value& x, size_t scale, size_t like) {
  const Value zero = call.Has(scale + 1) ? call.In(scale + 1) : Value{};
  const ir::Type type = call.emit.Element(zero.is_absent() ? call.In(like) : zero);
  return {Quantize(call.emit, x, Along(call, scale, x, 0), Along(call, scale + 1, x, 0), type)};
}

Converter QLinearBinary(const char* op) {
  return [op](Call& call) -> Values {
    return Quantized(call, call.emit.Add(op, {Number(call, 0), Number(call, 3)}), 6, 0);
  };
}
Values QLinearSigmoid(Call& call) {
  return Quantized(call, call.emit.Add("sigmoid", {Number(call, 0)}), 3, 0);
}
Values QLinearLeakyRelu(Call& call) {
  const graph::Attributes alpha{{"alpha", call.Float("alpha", 0.01)}};
  return Quantized(call, call.emit.Add("leaky_relu", {Number(call, 0)}, alpha), 3, 0);
}
bool IsChannelsFirst(Call& call) {
  if (call.Int("channels_last", 0) != 0) {
    call.Fail("channels_last is not supported; export with channels first");
  }
  return call.ok();
}
Values QLinearAveragePool(Call& call) {
  if (!IsChannelsFirst(call)) return {};
  return Quantized(call, AveragePool(call, Number(call, 0)), 3, 0);
}
Values QLinearGlobalAveragePool(Call& call) {
  if (!IsChannelsFirst(call)) return {};
  const Value x = Number(call, 0);
  if (!call.CheckRank(x, 3)) return {};
  Shape axes;
  for (size_t d = 2; d < call.emit.Rank(x); ++d) axes.push_back(static_cast<int64_t>(d));
  return Quantized(call, call.emit.Add("reduce_mean", {x}, {{"axes", axes}}), 3, 0);
}
// The result's scale and zero come first, then each part with its own.
Values QLinearConcat(Call& call) {
  Values parts;
  for (size_t at = 2; at + 2 < call.inputs(); at += 3) parts.push_back(Number(call, at));
  if (parts.empty()) return call.Invalid("has no parts");
  const size_t axis = call.Axis(call.Int("axis", 0), call.emit.Rank(parts[0]));
  return Quantized(call, call.emit.Concat(parts, static_cast<int64_t>(axis)), 0, 2);
}

// alpha (a b + c); a, b, each with its scale and zero, c in steps of both scales; then, where the
// result is quantised, its scale and zero.
Values QGemm(Call& call) {
  Emitter& emit = call.emit;
  Value a = call.In(0), b = call.In(3);
  const bool turns_a = call.Int("transA", 0) != 0, turns_b = call.Int("transB", 0) != 0;
  const double alpha = call.Float("alpha", 1);
  if (!call.CheckRank(a, 2, 2) || !call.CheckRank(b, 2, 2)) return {};
  if (turns_a) a = emit.Transpose(a, {1, 0});
  if (turns_b) b = emit.Transpose(b, {1, 0});
  Value sums = IntegerProduct(emit, a, Along(call, 2, a, 0), b, Along(call, 5, b, 1), {});
  if (call.Has(6)) sums = emit.Add("add", {sums, call.In(6)});
  if (!call.ok()) return {};
  Value scale = emit.Add("mul", {Along(call, 1, sums, 0), Along(call, 4, sums, 1)});
  if (alpha != 1) scale = emit.Add("mul", {scale, emit.Number(alpha, scale)});
  if (!call.Has(7)) return {emit.Add("mul", {emit.Cast(sums, emit.Element(scale)), scale})};
  if (!call.Has(8)) return call.Invalid("has a scale of the result, but no zero point");
  const Value zero = Along(call, 8, sums, 1);
  return {Requantize(emit, sums, scale, Along(call, 7, sums, 1), zero, emit.Element(zero))};
}

}  // namespace

std::vector<Row> QuantizedRows() {
  return {{"ConvInteger", ConvInteger},
          {"DequantizeLinear", DequantizeLinear},
          {"DynamicQuantizeLinear", DynamicQuantizeLinear},
          {"MatMulInteger", MatMulInteger},
          {"QLinearConv", QLinearConv},
          {"QLinearMatMul", QLinearMatMul},
          {"QuantizeLinear", QuantizeLinear},
          {"com.microsoft.QGemm", QGemm},
          {"com.microsoft.QLinearAdd", QLinearBinary("add")},
          {"com.microsoft.QLinearAveragePool", QLinearAveragePool},
          {"com.microsoft.QLinearConcat", QLinearConcat},
          {"com.microsoft.QLinearGlobalAveragePool", QLinearGlobalAveragePool},
          {"com.microsoft.QLinearLeakyRelu", QLinearLeakyRelu},
          {"com.microsoft.QLinearMul", QLinearBinary("mul")},
          {"com.microsoft.QLinearSigmoid", QLinearSigmoid}};
}

}  // namespace tessera::frontend
