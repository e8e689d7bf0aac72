#include <cmath>

#include "compiler/graph/adjoint_rules.h"

// What each element's function has for a derivative, times the cotangent.

namespace tessera::graph {
namespace {

constexpr double kInverseSqrt2 = 0.70710678118654752440;    // 1 / √2
constexpr double kInverseSqrtPi = 0.56418958354775628695;   // 1 / √π
constexpr double kInverseSqrt2Pi = 0.39894228040143267794;  // 1 / √(2π)

int Abs(const Site& at, size_t) {
  return at.steps.Times(at.cotangent, at.steps.Add("sign", {at.operand(0)}));
}
int Neg(const Site& at, size_t) { return at.steps.Add("neg", {at.cotangent}); }
int Relu(const Site& at, size_t) {
  Steps& s = at.steps;
  return s.Where(s.Add("less", {s.Number(0, at.operand(0)), at.operand(0)}), at.cotangent);
}
int Clip(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0);
  int inside = s.Add("less_equal", {s.Number(at.Float("min"), x), x});
  inside = s.Add("and", {inside, s.Add("less_equal", {x, s.Number(at.Float("max"), x)})});
  return s.Where(inside, at.cotangent);
}
int Exp(const Site& at, size_t) { return at.steps.Times(at.cotangent, at.result); }
int Log(const Site& at, size_t) { return at.steps.Over(at.cotangent, at.operand(0)); }
int Sqrt(const Site& at, size_t) {
  return at.steps.Over(at.steps.Times(at.cotangent, 0.5), at.result);
}
int Erf(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0);
  const int bell = s.Add("exp", {s.Add("neg", {s.Times(x, x)})});
  return s.Times(at.cotangent, s.Times(bell, 2 * kInverseSqrtPi));
}
int Tanh(const Site& at, size_t) {
  Steps& s = at.steps;
  const int square = s.Times(at.result, at.result);
  return s.Times(at.cotangent, s.Minus(s.Number(1, square), square));
}
int Sigmoid(const Site& at, size_t) {
  Steps& s = at.steps;
  const int slope = s.Times(at.result, s.Minus(s.Number(1, at.result), at.result));
  return s.Times(at.cotangent, slope);
}
int Softplus(const Site& at, size_t) {
  return at.steps.Times(at.cotangent, at.steps.Add("sigmoid", {at.operand(0)}));
}
// x · Φ(x), of which Φ(x) + x · φ(x) is the derivative.
int Gelu(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0);
  const int erf = s.Add("erf", {s.Times(x, kInverseSqrt2)});
  const int below = s.Times(s.Plus(erf, s.Number(1, x)), 0.5);
  const int density = s.Times(s.Add("exp", {s.Times(s.Times(x, x), -0.5)}), kInverseSqrt2Pi);
  return s.Times(at.cotangent, s.Plus(below, s.Times(x, density)));
}
int Reciprocal(const Site& at, size_t) {
  Steps& s = at.steps;
  return s.Add("neg", {s.Times(at.cotangent, s.Times(at.result, at.result))});
}
int HardSigmoid(const Site& at, size_t) {
  Steps& s = at.steps;
  const int y = at.result;
  const int inside =
      s.Add("and", {s.Add("less", {s.Number(0, y), y}), s.Add("less", {y, s.Number(1, y)})});
  return s.Where(inside, s.Times(at.cotangent, at.Float("alpha")));
}
int LeakyRelu(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0);
  return s.Add("where", {s.Add("less", {x, s.Number(0, x)}),
                         s.Times(at.cotangent, at.Float("alpha")), at.cotangent});
}
int Elu(const Site& at, size_t) {
  Steps& s = at.steps;
  const int x = at.operand(0), slope = s.Plus(at.result, s.Number(at.Float("alpha"), x));
  return s.Add("where",
               {s.Add("less", {x, s.Number(0, x)}), s.Times(at.cotangent, slope), at.cotangent});
}
int Cast(const Site& at, size_t) {
  return at.steps.Cast(at.cotangent, at.steps.type(at.operand(0)).element);
}

int Add(const Site& at, size_t) { return at.cotangent; }
int Sub(const Site& at, size_t operand) { return operand == 0 ? at.cotangent : Neg(at, 0); }
int Mul(const Site& at, size_t operand) {
  return at.steps.Times(at.cotangent, at.operand(1 - operand));
}
int Div(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int share = s.Over(at.cotangent, at.operand(1));
  return operand == 0 ? share : s.Add("neg", {s.Times(share, at.result)});
}
// a - ⌊a / b⌋ · b
int Mod(const Site& at, size_t operand) {
  Steps& s = at.steps;
  if (operand == 0) return at.cotangent;
  const int times = s.Add("floor", {s.Over(at.operand(0), at.operand(1))});
  return s.Add("neg", {s.Times(at.cotangent, times)});
}
// By the base b · a^(b - 1), by the exponent aᵇ · log a where a is above 0.
int Pow(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int a = at.operand(0), b = at.operand(1);
  if (operand == 1) {
    const int slope = s.Times(at.result, s.Add("log", {a}));
    return s.Where(s.Add("less", {s.Number(0, a), a}), s.Times(at.cotangent, slope));
  }
  const Node exponent = s.builder().node(b);
  if (exponent.is_constant() && exponent.type.ElementCount() == 1) {
    const double power = exponent.constant->At(0);
    if (power == 0) return Steps::kNone;
    const int lower = power == 2 ? a : s.Add("pow", {a, s.Number(power - 1, a)});
    return s.Times(at.cotangent, s.Times(lower, power));
  }
  const int slope = s.Times(b, s.Add("pow", {a, s.Minus(b, s.Number(1, b))}));
  return s.Unless(s.Add("equal", {b, s.Number(0, b)}), s.Times(at.cotangent, slope));
}
// Equals go to the first.
int Min(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int is_second = s.Add("less", {at.operand(1), at.operand(0)});
  return operand == 0 ? s.Unless(is_second, at.cotangent) : s.Where(is_second, at.cotangent);
}
int Max(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int is_second = s.Add("less", {at.operand(0), at.operand(1)});
  return operand == 0 ? s.Unless(is_second, at.cotangent) : s.Where(is_second, at.cotangent);
}
int Where(const Site& at, size_t operand) {
  Steps& s = at.steps;
  const int condition = at.operand(0);
  return operand == 1 ? s.Where(condition, at.cotangent) : s.Unless(condition, at.cotangent);
}

}  // namespace

std::vector<AdjointRow> ElementwiseAdjoints() {
  return {{"abs", Abs},
          {"neg", Neg},
          {"relu", Relu},
          {"sign", nullptr},
          {"clip", Clip},
          {"exp", Exp},
          {"log", Log},
          {"sqrt", Sqrt},
          {"erf", Erf},
          {"tanh", Tanh},
          {"sigmoid", Sigmoid},
          {"hard_sigmoid", HardSigmoid},
          {"softplus", Softplus},
          {"gelu", Gelu},
          {"leaky_relu", LeakyRelu},
          {"elu", Elu},
          {"reciprocal", Reciprocal},
          {"floor", nullptr},
          {"ceil", nullptr},
          {"round", nullptr},
          {"cast", Cast},
          {"add", Add},
          {"sub", Sub},
          {"mul", Mul},
          {"div", Div},
          {"mod", Mod},
          {"pow", Pow},
          {"min", Min},
          {"max", Max},
          {"where", Where},
          // Booleans, which no gradient goes through.
          {"not", nullptr},
          {"equal", nullptr},
          {"less", nullptr},
          {"less_equal", nullptr},
          {"and", nullptr},
          {"or", nullptr},
          {"xor", nullptr}};
}

}  // namespace tessera::graph
