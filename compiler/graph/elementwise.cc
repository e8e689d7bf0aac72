#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/families.h"

namespace tessera::graph {
namespace {

using Indices = te::DagBuilder::Indices;
using Parameters = std::vector<Operator::Parameter>;

ir::Expr Number(const ir::Expr& like, double value) { return ir::MakeConst(like.type(), value); }

// A function of one number, which it gets in the type that it is computed in.
using Function = ir::Expr (*)(const Call& call, const ir::Expr& x);

template <Function kFunction>
ir::Buffer DefineUnary(te::DagBuilder& builder, const Call& call,
                       absl::Span<const Operand> operands, const TensorType& result,
                       const std::string& name) {
  const ir::Type wide = WideType(result.element);
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    return As(result.element,
              kFunction(call, As(wide, BroadcastAt(operands[0], axes, result.shape))));
  });
}

absl::StatusOr<TensorType> SameType(const Call& call) {
  return TensorType{call.operands[0].element, call.operands[0].shape, {}};
}
absl::StatusOr<TensorType> SameFloat(const Call& call) {
  if (!call.operands[0].element.is_float()) {
    return absl::InvalidArgumentError("computes floats only; cast the operand");
  }
  return SameType(call);
}

template <Function kFunction>
Operator Unary(std::string_view name, Parameters parameters = {}) {
  return {
      name, 1, 1, Pattern::kElementwise, std::move(parameters), SameFloat, DefineUnary<kFunction>};
}
// That integers have, too.
template <Function kFunction>
Operator AnyUnary(std::string_view name, Parameters parameters = {}) {
  return {
      name, 1, 1, Pattern::kElementwise, std::move(parameters), SameType, DefineUnary<kFunction>};
}

ir::Expr CallOf(const char* function, const ir::Expr& x) {
  return ir::MakeCall(x.type(), function, {x});
}

ir::Expr Abs(const Call&, const ir::Expr& x) {
  return x.type().is_float() ? CallOf("abs", x) : ir::Max(x, ir::Zero(x.type()) - x);
}
ir::Expr Negative(const Call&, const ir::Expr& x) { return ir::Zero(x.type()) - x; }
ir::Expr Relu(const Call&, const ir::Expr& x) { return ir::Max(x, ir::Zero(x.type())); }
ir::Expr Sign(const Call&, const ir::Expr& x) {
  const ir::Expr zero = ir::Zero(x.type());
  return ir::MakeSelect(ir::Lt(zero, x), Number(x, 1),
                        ir::MakeSelect(ir::Lt(x, zero), Number(x, -1), zero));
}
ir::Expr LeakyRelu(const Call& call, const ir::Expr& x) {
  return ir::MakeSelect(ir::Lt(x, ir::Zero(x.type())), x * Number(x, call.Float("alpha")), x);
}
ir::Expr Elu(const Call& call, const ir::Expr& x) {
  const ir::Expr below = Number(x, call.Float("alpha")) * (CallOf("exp", x) - Number(x, 1));
  return ir::MakeSelect(ir::Lt(x, ir::Zero(x.type())), below, x);
}
ir::Expr HardSigmoid(const Call& call, const ir::Expr& x) {
  const ir::Expr line = x * Number(x, call.Float("alpha")) + Number(x, call.Float("beta"));
  return ir::Max(ir::Min(line, Number(x, 1)), ir::Zero(x.type()));
}
// log(1 + exp(x)), without overflow.
ir::Expr Softplus(const Call&, const ir::Expr& x) {
  const ir::Expr below = CallOf("log", Number(x, 1) + CallOf("exp", ir::Min(x, Number(x, 20))));
  return ir::MakeSelect(ir::Lt(Number(x, 20), x), x, below);
}
ir::Expr Gelu(const Call&, const ir::Expr& x) {
  const ir::Expr scaled = x * Number(x, 0.70710678118654752440);
  return Number(x, 0.5) * x * (Number(x, 1) + CallOf("erf", scaled));
}
ir::Expr Reciprocal(const Call&, const ir::Expr& x) { return Number(x, 1) / x; }
// Bounds of integers are whole numbers of their type: others are what they mean there.
ir::Expr Clip(const Call& call, const ir::Expr& x) {
  const ir::Type type = x.type();
  const double low = call.Float("min"), high = call.Float("max");
  if (type.is_float()) return ir::Min(ir::Max(x, Number(x, low)), Number(x, high));
  const auto bound = [&](double value) {
    if (IsOfType(type, value)) return Number(x, value);
    return value > 0 ? ir::MaxValue(type) : ir::MinValue(type);
  };
  return ir::Min(ir::Max(x, bound(std::ceil(low))), bound(std::floor(high)));
}
ir::Expr Exp(const Call&, const ir::Expr& x) { return CallOf("exp", x); }
ir::Expr Log(const Call&, const ir::Expr& x) { return CallOf("log", x); }
ir::Expr Sqrt(const Call&, const ir::Expr& x) { return CallOf("sqrt", x); }
ir::Expr Erf(const Call&, const ir::Expr& x) { return CallOf("erf", x); }
ir::Expr Tanh(const Call&, const ir::Expr& x) { return CallOf("tanh", x); }
ir::Expr Sigmoid(const Call&, const ir::Expr& x) { return CallOf("sigmoid", x); }
ir::Expr Floor(const Call&, const ir::Expr& x) { return CallOf("floor", x); }
ir::Expr Ceil(const Call&, const ir::Expr& x) { return CallOf("ceil", x); }
ir::Expr Round(const Call&, const ir::Expr& x) { return CallOf("round", x); }

// Booleans are u8, 0 or 1, so that each has an address of its own.
constexpr ir::Type kBoolean = ir::UInt(8);
ir::Expr AsBoolean(const ir::Expr& condition) {
  return ir::MakeSelect(condition, ir::MakeInt(kBoolean, 1), ir::MakeInt(kBoolean, 0));
}
ir::Expr IsTrue(const ir::Expr& x) {
  return ir::MakeBinary(ir::BinaryOp::kNe, x, ir::Zero(x.type()));
}
ir::Expr Not(const Call&, const ir::Expr& x) { return AsBoolean(ir::Eq(x, ir::Zero(x.type()))); }

absl::StatusOr<TensorType> InferCast(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(const ir::Type type, ir::ParseType(call.Word("to")));
  if (type.is_vector() || type.bits == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("to is ", call.Word("to"), ", which is no type of elements"));
  }
  return TensorType{type, call.operands[0].shape, {}};
}
ir::Buffer DefineCast(te::DagBuilder& builder, const Call& call, absl::Span<const Operand> operands,
                      const TensorType& result, const std::string& name) {
  const bool saturates = call.Int("saturate") != 0;
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    const ir::Expr x = BroadcastAt(operands[0], axes, result.shape);
    return x.type() == result.element ? x : ir::MakeCast(result.element, x, saturates);
  });
}

using BinaryFunction = ir::Expr (*)(const ir::Expr& a, const ir::Expr& b);

absl::Status CheckSameElements(const Call& call) {
  const ir::Type first = call.operands[0].element;
  for (const TensorType& type : call.operands) {
    if (type.element == first) continue;
    return absl::InvalidArgumentError(absl::StrCat("operands are of ", ir::ToString(first), " and ",
                                                   ir::ToString(type.element), "; cast one"));
  }
  return absl::OkStatus();
}
absl::StatusOr<TensorType> InferBinary(const Call& call) {
  TESSERA_RETURN_IF_ERROR(CheckSameElements(call));
  TESSERA_ASSIGN_OR_RETURN(std::vector<int64_t> shape, BroadcastShape(call.operands));
  return TensorType{call.operands[0].element, std::move(shape), {}};
}
absl::StatusOr<TensorType> InferComparison(const Call& call) {
  TESSERA_ASSIGN_OR_RETURN(TensorType type, InferBinary(call));
  type.element = kBoolean;
  return type;
}

template <BinaryFunction kFunction>
ir::Buffer DefineBinary(te::DagBuilder& builder, const Call&, absl::Span<const Operand> operands,
                        const TensorType& result, const std::string& name) {
  const ir::Type wide = WideType(operands[0].type().element);
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    return As(result.element, kFunction(As(wide, BroadcastAt(operands[0], axes, result.shape)),
                                        As(wide, BroadcastAt(operands[1], axes, result.shape))));
  });
}
template <BinaryFunction kFunction>
Operator Binary(std::string_view name) {
  return {name, 2, 2, Pattern::kElementwise, {}, InferBinary, DefineBinary<kFunction>};
}
template <BinaryFunction kFunction>
Operator Comparison(std::string_view name) {
  return {name, 2, 2, Pattern::kElementwise, {}, InferComparison, DefineBinary<kFunction>};
}

ir::Expr Plus(const ir::Expr& a, const ir::Expr& b) { return a + b; }
ir::Expr Minus(const ir::Expr& a, const ir::Expr& b) { return a - b; }
ir::Expr Times(const ir::Expr& a, const ir::Expr& b) { return a * b; }
ir::Expr Remainder(const ir::Expr& a, const ir::Expr& b) {
  if (!a.type().is_float()) return a % b;
  return a - CallOf("floor", a / b) * b;
}
ir::Expr Power(const ir::Expr& a, const ir::Expr& b) {
  if (ir::IsConst(b, 2)) return a * a;
  if (ir::IsConst(b, 3)) return a * a * a;
  if (ir::IsConst(b, 0.5)) return CallOf("sqrt", a);
  return ir::MakeCall(a.type(), "pow", {a, b});
}
ir::Expr Smaller(const ir::Expr& a, const ir::Expr& b) { return ir::Min(a, b); }
ir::Expr Larger(const ir::Expr& a, const ir::Expr& b) { return ir::Max(a, b); }
ir::Expr IsEqual(const ir::Expr& a, const ir::Expr& b) { return AsBoolean(ir::Eq(a, b)); }
ir::Expr IsLess(const ir::Expr& a, const ir::Expr& b) { return AsBoolean(ir::Lt(a, b)); }
ir::Expr IsAtMost(const ir::Expr& a, const ir::Expr& b) { return AsBoolean(ir::Le(a, b)); }
ir::Expr Both(const ir::Expr& a, const ir::Expr& b) {
  return AsBoolean(ir::And(IsTrue(a), IsTrue(b)));
}
ir::Expr Either(const ir::Expr& a, const ir::Expr& b) {
  return AsBoolean(ir::Or(IsTrue(a), IsTrue(b)));
}
ir::Expr OneOf(const ir::Expr& a, const ir::Expr& b) {
  return AsBoolean(ir::MakeBinary(ir::BinaryOp::kNe, AsBoolean(IsTrue(a)), AsBoolean(IsTrue(b))));
}

absl::StatusOr<TensorType> InferWhere(const Call& call) {
  if (!call.operands[0].element.is_integer()) {
    return absl::InvalidArgumentError("the condition has to be of integers");
  }
  if (call.operands[1].element != call.operands[2].element) {
    return absl::InvalidArgumentError("both sides have to be of one type; cast one");
  }
  TESSERA_ASSIGN_OR_RETURN(std::vector<int64_t> shape, BroadcastShape(call.operands));
  return TensorType{call.operands[1].element, std::move(shape), {}};
}
ir::Buffer DefineWhere(te::DagBuilder& builder, const Call&, absl::Span<const Operand> operands,
                       const TensorType& result, const std::string& name) {
  return builder.Compute(name, result.element, DimsOf(result.shape), [&](const Indices& axes) {
    return ir::MakeSelect(IsTrue(BroadcastAt(operands[0], axes, result.shape)),
                          BroadcastAt(operands[1], axes, result.shape),
                          BroadcastAt(operands[2], axes, result.shape));
  });
}

}  // namespace

std::vector<Operator> UnaryOperators() {
  std::vector<Operator> operators{
      AnyUnary<Abs>("abs"),
      AnyUnary<Negative>("neg"),
      AnyUnary<Relu>("relu"),
      AnyUnary<Sign>("sign"),
      AnyUnary<Clip>("clip", {{"min", 0.0, true}, {"max", 0.0, true}}),
      AnyUnary<Not>("not"),
      Unary<Exp>("exp"),
      Unary<Log>("log"),
      Unary<Sqrt>("sqrt"),
      Unary<Erf>("erf"),
      Unary<Tanh>("tanh"),
      Unary<Sigmoid>("sigmoid"),
      Unary<HardSigmoid>("hard_sigmoid", {{"alpha", 0.2}, {"beta", 0.5}}),
      Unary<Softplus>("softplus"),
      Unary<Gelu>("gelu"),
      Unary<LeakyRelu>("leaky_relu", {{"alpha", 0.01}}),
      Unary<Elu>("elu", {{"alpha", 1.0}}),
      Unary<Reciprocal>("reciprocal"),
      Unary<Floor>("floor"),
      Unary<Ceil>("ceil"),
      Unary<Round>("round"),
  };
  // Rounds to nearest, and clamps to the type's range, where it saturates.
  operators.push_back({"cast",
                       1,
                       1,
                       Pattern::kElementwise,
                       {{"to", std::string("f32"), true}, {"saturate", int64_t{0}}},
                       InferCast,
                       DefineCast});
  return operators;
}

std::vector<Operator> BinaryOperators() {
  std::vector<Operator> operators{
      Binary<Plus>("add"),
      Binary<Minus>("sub"),
      Binary<Times>("mul"),
      Binary<QuotientOf>("div"),
      Binary<Remainder>("mod"),
      Binary<Power>("pow"),
      Binary<Smaller>("min"),
      Binary<Larger>("max"),
      Comparison<IsEqual>("equal"),
      Comparison<IsLess>("less"),
      Comparison<IsAtMost>("less_equal"),
      Comparison<Both>("and"),
      Comparison<Either>("or"),
      Comparison<OneOf>("xor"),
  };
  operators.push_back({"where", 3, 3, Pattern::kElementwise, {}, InferWhere, DefineWhere});
  return operators;
}

}  // namespace tessera::graph
