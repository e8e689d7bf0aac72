#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "frontend/onnx/converters.h"
#include "frontend/onnx/tensor.h"

namespace tessera::frontend {
namespace {

Converter Unary(const char* op) {
  return [op](Call& call) -> Values { return {call.emit.Add(op, {call.In(0)})}; };
}
// With numbers as attributes of the same names.
Converter Unary(const char* op, std::vector<std::pair<const char*, double>> numbers) {
  return [op, numbers](Call& call) -> Values {
    graph::Attributes attributes;
    for (const auto& [name, otherwise] : numbers) {
      attributes.emplace(name, call.Float(name, otherwise));
    }
    return {call.emit.Add(op, {call.In(0)}, std::move(attributes))};
  };
}
Converter Binary(const char* op) {
  return [op](Call& call) -> Values { return {call.emit.Add(op, {call.In(0), call.In(1)})}; };
}
Converter Swapped(const char* op) {
  return [op](Call& call) -> Values { return {call.emit.Add(op, {call.In(1), call.In(0)})}; };
}

// Any number of operands, one after the other.
Value Chain(Call& call, const char* op) {
  Value all = call.In(0);
  for (size_t i = 1; i < call.inputs(); ++i) all = call.emit.Add(op, {all, call.In(i)});
  return all;
}
Converter Variadic(const char* op) {
  return [op](Call& call) -> Values { return {Chain(call, op)}; };
}
Values Mean(Call& call) {
  const Value sum = Chain(call, "add");
  const auto count = static_cast<double>(call.inputs());
  return {call.emit.Add("div", {sum, call.emit.Number(count, sum)})};
}

// Exponents may be of another type. Integers are raised as doubles, exact up to 2^53.
Values Pow(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), y = call.In(1);
  const ir::Type own = emit.Element(x);
  const ir::Type wide = own.is_float() ? own : ir::Float(64);
  const Value power = emit.Add("pow", {emit.Cast(x, wide), emit.Cast(y, wide)});
  return {emit.Cast(power, own)};
}

// The remainder has the sign of y, or with fmod that of x.
Values Mod(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), y = call.In(1);
  if (call.Int("fmod", 0) == 0) return {emit.Add("mod", {x, y})};
  Value quotient = emit.Add("div", {x, y});
  if (emit.Element(x).is_float()) {
    const Value is_negative = emit.Add("less", {quotient, emit.Number(0, quotient)});
    quotient = emit.Where(is_negative, emit.Add("ceil", {quotient}), emit.Add("floor", {quotient}));
  }
  return {emit.Add("sub", {x, emit.Add("mul", {quotient, y})})};
}

// Bounds are attributes at first, then inputs that may be left out.
Values Clip(Call& call) {
  Emitter& emit = call.emit;
  Value x = call.In(0);
  if (call.opset < 11) {
    constexpr double kMost = std::numeric_limits<float>::max();
    return {emit.Add("clip", {x},
                     {{"min", call.Float("min", -kMost)}, {"max", call.Float("max", kMost)}})};
  }
  const bool has_min = call.Has(1), has_max = call.Has(2);
  if (has_min && has_max && call.In(1).known && call.In(2).known && emit.Element(x).is_float()) {
    const std::vector<double> min = call.KnownNumbers(1, "min"), max = call.KnownNumbers(2, "max");
    if (min.size() == 1 && max.size() == 1) {
      return {emit.Add("clip", {x}, {{"min", min[0]}, {"max", max[0]}})};
    }
  }
  if (has_min) x = emit.Add("max", {x, call.In(1)});
  if (has_max) x = emit.Add("min", {x, call.In(2)});
  return {x};
}

Value Converted(Call& call, const Value& x, ir::Type type, bool is_bool) {
  Emitter& emit = call.emit;
  if (!is_bool) return emit.Cast(x, type);
  return emit.Add("not", {emit.Add("equal", {x, emit.Number(0, x)})});
}
Values Cast(Call& call) {
  call.Ignore({"saturate"});  // of types that are refused
  const int64_t to = call.Int("to", 0);
  const absl::StatusOr<ir::Type> type = ElementType(to);
  if (!type.ok()) {
    call.emit.Fail(type.status());
    return {};
  }
  constexpr int64_t kBool = 9;  // TensorProto.BOOL
  return {Converted(call, call.In(0), *type, to == kBool)};
}
// Bytes that are wanted may be booleans: those are told apart no more.
Values CastLike(Call& call) {
  call.Ignore({"saturate"});
  return {call.emit.Cast(call.In(0), call.emit.Element(call.In(1)))};
}

// x below zero is scaled: by a number of each channel, or other shapes that broadcast.
Values PRelu(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), slope = call.In(1);
  const Value is_negative = emit.Add("less", {x, emit.Number(0, x)});
  return {emit.Where(is_negative, emit.Add("mul", {x, slope}), x)};
}

Values ThresholdedRelu(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), alpha = emit.Number(call.Float("alpha", 1), x);
  return {emit.Where(emit.Add("less", {alpha, x}), x, emit.Number(0, x))};
}

Values Selu(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const double alpha = call.Float("alpha", 1.67326319217681884765625);
  const Value gamma = emit.Number(call.Float("gamma", 1.05070102214813232421875), x);
  return {emit.Add("mul", {emit.Add("elu", {x}, {{"alpha", alpha}}), gamma})};
}

// max(0, x) + min(0, a (exp(x / a) - 1)) = a elu(x / a)
Values Celu(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), alpha = emit.Number(call.Float("alpha", 1), x);
  return {emit.Add("mul", {alpha, emit.Add("elu", {emit.Add("div", {x, alpha})})})};
}

Values HardSwish(Call& call) {
  const Value x = call.In(0);
  const Value gate = call.emit.Add("hard_sigmoid", {x}, {{"alpha", 1.0 / 6}, {"beta", 0.5}});
  return {call.emit.Add("mul", {x, gate})};
}

Values Mish(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  return {emit.Add("mul", {x, emit.Add("tanh", {emit.Add("softplus", {x})})})};
}

Values Softsign(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  return {emit.Add("div", {x, emit.Add("add", {emit.Number(1, x), emit.Add("abs", {x})})})};
}

Values Shrink(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const double limit = call.Float("lambd", 0.5);
  const Value bias = emit.Number(call.Float("bias", 0), x);
  const Value below = emit.Add("less", {x, emit.Number(-limit, x)});
  const Value above = emit.Add("less", {emit.Number(limit, x), x});
  return {emit.Where(below, emit.Add("add", {x, bias}),
                     emit.Where(above, emit.Add("sub", {x, bias}), emit.Number(0, x)))};
}

Values GeluOf(Call& call) {
  const std::string kind = call.Word("approximate", "none");
  if (kind != "none" && kind != "tanh") {
    return call.Fail(absl::StrCat("approximate is ", kind, "; it can be none or tanh"));
  }
  return {Gelu(call.emit, call.In(0), kind == "tanh")};
}

Values IsInf(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0);
  const double most = emit.Element(x) == ir::Float(64)   ? std::numeric_limits<double>::max()
                      : emit.Element(x) == ir::Float(16) ? 65504
                                                         : std::numeric_limits<float>::max();
  const Value above = emit.Add("less", {emit.Number(most, x), x});
  const Value below = emit.Add("less", {x, emit.Number(-most, x)});
  const bool counts_above = call.Int("detect_positive", 1) != 0;
  const bool counts_below = call.Int("detect_negative", 1) != 0;
  if (counts_above && counts_below) return {emit.Add("or", {above, below})};
  if (counts_above || counts_below) return {counts_above ? above : below};
  return {emit.Add("and", {above, below})};
}

// Neither above nor at most zero.
Values IsNan(Call& call) {
  Emitter& emit = call.emit;
  const Value x = call.In(0), zero = emit.Number(0, x);
  return {emit.Add(
      "not", {emit.Add("or", {emit.Add("less", {zero, x}), emit.Add("less_equal", {x, zero})})})};
}

// Nothing is dropped when a model runs.
Values Dropout(Call& call) {
  call.Ignore({"ratio", "seed"});
  if (call.Has(2)) {
    const std::vector<int64_t> trains = call.KnownInts(2, "training_mode");
    const bool drops = !trains.empty() && trains[0] != 0;
    if (drops) return call.Fail("training_mode is set; export the model for inference");
  }
  Values outputs{call.In(0)};
  if (call.Wants(1)) {
    const Value one = call.emit.Number(1, ir::UInt(8));
    outputs.push_back(call.emit.Broadcast(one, call.emit.Shape(call.In(0))));
  }
  return outputs;
}

}  // namespace

Value Gelu(Emitter& emit, const Value& x, bool is_approximate) {
  if (!is_approximate) return emit.Add("gelu", {x});
  const Value cube = emit.Add("mul", {emit.Add("mul", {x, x}), x});
  const Value bent = emit.Add("add", {x, emit.Add("mul", {cube, emit.Number(0.044715, x)})});
  const Value scaled = emit.Add("mul", {bent, emit.Number(0.79788456080286535588, x)});  // √(2/π)
  const Value gate = emit.Add("add", {emit.Add("tanh", {scaled}), emit.Number(1, x)});
  return emit.Add("mul", {emit.Add("mul", {x, emit.Number(0.5, x)}), gate});
}

std::vector<Row> ElementwiseRows() {
  return {
      {"Abs", Unary("abs")},
      {"Add", Binary("add")},
      {"And", Binary("and")},
      {"Cast", Cast},
      {"CastLike", CastLike},
      {"Ceil", Unary("ceil")},
      {"Celu", Celu},
      {"Clip", Clip},
      {"Div", Binary("div")},
      {"Dropout", Dropout},
      {"Elu", Unary("elu", {{"alpha", 1.0}})},
      {"Equal", Binary("equal")},
      {"Erf", Unary("erf")},
      {"Exp", Unary("exp")},
      {"Floor", Unary("floor")},
      {"Gelu", GeluOf},
      {"Greater", Swapped("less")},
      {"GreaterOrEqual", Swapped("less_equal")},
      {"HardSigmoid", Unary("hard_sigmoid", {{"alpha", 0.2}, {"beta", 0.5}})},
      {"HardSwish", HardSwish},
      {"Identity", [](Call& call) -> Values { return {call.In(0)}; }},
      {"IsInf", IsInf},
      {"IsNaN", IsNan},
      {"LeakyRelu", Unary("leaky_relu", {{"alpha", 0.01}})},
      {"Less", Binary("less")},
      {"LessOrEqual", Binary("less_equal")},
      {"Log", Unary("log")},
      {"Max", Variadic("max")},
      {"Mean", Mean},
      {"Min", Variadic("min")},
      {"Mish", Mish},
      {"Mod", Mod},
      {"Mul", Binary("mul")},
      {"Neg", Unary("neg")},
      {"Not", Unary("not")},
      {"Or", Binary("or")},
      {"PRelu", PRelu},
      {"Pow", Pow},
      {"Reciprocal", Unary("reciprocal")},
      {"Relu", Unary("relu")},
      {"Round", Unary("round")},
      {"Selu", Selu},
      {"Shrink", Shrink},
      {"Sigmoid", Unary("sigmoid")},
      {"Sign", Unary("sign")},
      {"Softplus", Unary("softplus")},
      {"Softsign", Softsign},
      {"Sqrt", Unary("sqrt")},
      {"Sub", Binary("sub")},
      {"Sum", Variadic("add")},
      {"Tanh", Unary("tanh")},
      {"ThresholdedRelu", ThresholdedRelu},
      {"Where",
       [](Call& call) -> Values { return {call.emit.Where(call.In(0), call.In(1), call.In(2))}; }},
      {"Xor", Binary("xor")},
      {"com.microsoft.Gelu",
       [](Call& call) -> Values { return {Gelu(call.emit, call.In(0), false)}; }},
  };
}

}  // namespace tessera::frontend
