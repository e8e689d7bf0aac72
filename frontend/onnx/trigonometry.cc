#include <numbers>

#include "frontend/onnx/converters.h"

// Functions that graphs have no operator for, of those that they have.

namespace tessera::frontend {
namespace {

// Short for compositions of one operand.
class Algebra {
 public:
  Algebra(Emitter& emit, const Value& x) : emit_(emit), type_(emit.Element(x)) {}

  Value operator()(double number) const { return emit_.Number(number, type_); }
  Value Add(const Value& a, const Value& b) const { return emit_.Add("add", {a, b}); }
  Value Sub(const Value& a, const Value& b) const { return emit_.Add("sub", {a, b}); }
  Value Mul(const Value& a, const Value& b) const { return emit_.Add("mul", {a, b}); }
  Value Div(const Value& a, const Value& b) const { return emit_.Add("div", {a, b}); }
  Value Of(const char* op, const Value& a) const { return emit_.Add(op, {a}); }
  // c0 + c1 x + c2 x² …
  Value Polynomial(const Value& x, std::initializer_list<double> coefficients) const {
    Value sum;
    for (auto c = std::rbegin(coefficients); c != std::rend(coefficients); ++c) {
      sum = sum.is_absent() ? (*this)(*c) : Add(Mul(sum, x), (*this)(*c));
    }
    return sum;
  }

 private:
  Emitter& emit_;
  ir::Type type_;
};

// The sine of x + turns · 2π. Whole turns are taken off in two parts, the first of which is exact
// in products with numbers of turns up to 2^15; then it is folded to a quarter turn to either side.
Value SineOf(Emitter& emit, const Value& x, double turns) {
  const Algebra a(emit, x);
  constexpr double kTurn = 2 * std::numbers::pi, kHigh = 6.28125;
  const Value whole = a.Of("round", a.Mul(x, a(1 / kTurn)));
  Value rest = a.Sub(a.Sub(x, a.Mul(whole, a(kHigh))), a.Mul(whole, a(kTurn - kHigh)));
  if (turns != 0) rest = a.Add(rest, a(turns * kTurn));
  // sin y = sin(π - y) beyond a quarter, and up to three quarters.
  const double quarter = kTurn / 4;
  const Value above = emit.Add("min", {rest, a.Sub(a(kTurn / 2), rest)});
  const Value y =
      emit.Where(emit.Add("less", {rest, a(-quarter)}), a.Sub(a(-kTurn / 2), rest), above);
  const Value square = a.Mul(y, y);
  return a.Mul(y, a.Polynomial(square, {1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880,
                                        -1.0 / 39916800}));
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 4.4.49: within 2e-8 up to 1; beyond,
// a right angle less that of the reciprocal.
Value ArcTangent(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  const Value size = a.Of("abs", x);
  const Value is_large = emit.Add("less", {a(1), size});
  const Value y = emit.Where(is_large, a.Of("reciprocal", size), size);
  const Value angle = a.Mul(
      y, a.Polynomial(a.Mul(y, y), {1, -0.3333314528, 0.1999355085, -0.1420889944, 0.1065626393,
                                    -0.0752896400, 0.0429096138, -0.0161657367, 0.0028662257}));
  const Value all = emit.Where(is_large, a.Sub(a(std::numbers::pi / 2), angle), angle);
  return a.Mul(a.Of("sign", x), all);
}

Value ArcSine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return ArcTangent(emit, a.Div(x, a.Of("sqrt", a.Sub(a(1), a.Mul(x, x)))));
}

using Function = Value (*)(Emitter& emit, const Value& x);
Converter Of(Function function) {
  return [function](Call& call) -> Values { return {function(call.emit, call.In(0))}; };
}

Value Sine(Emitter& emit, const Value& x) { return SineOf(emit, x, 0); }
Value Cosine(Emitter& emit, const Value& x) { return SineOf(emit, x, 0.25); }
Value Tangent(Emitter& emit, const Value& x) {
  return emit.Add("div", {Sine(emit, x), Cosine(emit, x)});
}
Value ArcCosine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return a.Sub(a(std::numbers::pi / 2), ArcSine(emit, x));
}
Value HyperbolicSine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return a.Mul(a(0.5), a.Sub(a.Of("exp", x), a.Of("exp", a.Of("neg", x))));
}
Value HyperbolicCosine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return a.Mul(a(0.5), a.Add(a.Of("exp", x), a.Of("exp", a.Of("neg", x))));
}
Value AreaSine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  const Value size = a.Of("abs", x);
  const Value root = a.Of("sqrt", a.Add(a.Mul(x, x), a(1)));
  return a.Mul(a.Of("sign", x), a.Of("log", a.Add(size, root)));
}
Value AreaCosine(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return a.Of("log", a.Add(x, a.Of("sqrt", a.Sub(a.Mul(x, x), a(1)))));
}
Value AreaTangent(Emitter& emit, const Value& x) {
  const Algebra a(emit, x);
  return a.Mul(a(0.5), a.Of("log", a.Div(a.Add(a(1), x), a.Sub(a(1), x))));
}

}  // namespace

std::vector<Row> TrigonometryRows() {
  return {{"Sin", Of(Sine)},
          {"Cos", Of(Cosine)},
          {"Tan", Of(Tangent)},
          {"Asin", Of(ArcSine)},
          {"Acos", Of(ArcCosine)},
          {"Atan", Of(ArcTangent)},
          {"Sinh", Of(HyperbolicSine)},
          {"Cosh", Of(HyperbolicCosine)},
          {"Asinh", Of(AreaSine)},
          {"Acosh", Of(AreaCosine)},
          {"Atanh", Of(AreaTangent)}};
}

}  // namespace tessera::frontend
