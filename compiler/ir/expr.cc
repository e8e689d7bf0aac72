#include "compiler/ir/expr.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/status.h"
#include "compiler/ir/numeric.h"

namespace tessera::ir {
namespace {

bool IsComparison(BinaryOp op) {
  return op == BinaryOp::kEq || op == BinaryOp::kNe || op == BinaryOp::kLt || op == BinaryOp::kLe;
}

constexpr std::pair<std::string_view, BinaryOp> kReductions[] = {{"reduce_add", BinaryOp::kAdd},
                                                                 {"reduce_mul", BinaryOp::kMul},
                                                                 {"reduce_max", BinaryOp::kMax},
                                                                 {"reduce_min", BinaryOp::kMin}};

bool IsLogic(BinaryOp op) { return op == BinaryOp::kAnd || op == BinaryOp::kOr; }

// A number behind any broadcast: an integer or float constant, else null.
const ExprNode* Constant(const Expr& e) {
  const ExprNode* node = e.get();
  if (const auto* broadcast = e.As<Broadcast>()) node = broadcast->value.get();
  const bool number =
      node && (node->kind == ExprKind::kIntImm || node->kind == ExprKind::kFloatImm);
  return number ? node : nullptr;
}

int64_t IntegerOf(const ExprNode* constant) { return static_cast<const IntImm*>(constant)->value; }
double FloatOf(const ExprNode* constant) { return static_cast<const FloatImm*>(constant)->value; }

// Nothing where the result is undefined.
std::optional<int64_t> FoldIntegers(BinaryOp op, Type type, int64_t a, int64_t b) {
  const bool wide_unsigned = type.code == TypeCode::kUInt && type.bits == 64;
  switch (op) {
    case BinaryOp::kAdd:
      return WrappingAdd(a, b);
    case BinaryOp::kSub:
      return WrappingSub(a, b);
    case BinaryOp::kMul:
      return WrappingMul(a, b);
    case BinaryOp::kDiv:
      if (b == 0) return std::nullopt;
      if (wide_unsigned)
        return static_cast<int64_t>(static_cast<uint64_t>(a) / static_cast<uint64_t>(b));
      return FloorDiv(a, b);
    case BinaryOp::kMod:
      if (b == 0) return std::nullopt;
      if (wide_unsigned)
        return static_cast<int64_t>(static_cast<uint64_t>(a) % static_cast<uint64_t>(b));
      return FloorMod(a, b);
    case BinaryOp::kMin:
      return IntegerLess(type, a, b) ? a : b;
    case BinaryOp::kMax:
      return IntegerLess(type, a, b) ? b : a;
    case BinaryOp::kSatAdd:
      return SaturatingAdd(type, a, b);
    case BinaryOp::kSatSub:
      return SaturatingSub(type, a, b);
    case BinaryOp::kShiftLeft:
      if (b < 0 || b >= type.bits) return std::nullopt;
      return static_cast<int64_t>(static_cast<uint64_t>(a) << b);
    case BinaryOp::kShiftRight:
      if (b < 0 || b >= type.bits) return std::nullopt;
      return wide_unsigned ? static_cast<int64_t>(static_cast<uint64_t>(a) >> b) : a >> b;
    case BinaryOp::kBitAnd:
    case BinaryOp::kAnd:
      return a & b;
    case BinaryOp::kBitOr:
    case BinaryOp::kOr:
      return a | b;
    case BinaryOp::kBitXor:
      return a ^ b;
    case BinaryOp::kEq:
      return a == b;
    case BinaryOp::kNe:
      return a != b;
    case BinaryOp::kLt:
      return IntegerLess(type, a, b);
    case BinaryOp::kLe:
      return !IntegerLess(type, b, a);
  }
  return std::nullopt;
}

std::optional<double> FoldFloats(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kMin:
      return a < b ? a : b;
    case BinaryOp::kMax:
      return a > b ? a : b;
    case BinaryOp::kEq:
      return a == b;
    case BinaryOp::kNe:
      return a != b;
    case BinaryOp::kLt:
      return a < b;
    case BinaryOp::kLe:
      return a <= b;
    default:
      return std::nullopt;
  }
}

Expr FoldBinary(BinaryOp op, Type result, const Expr& a, const Expr& b) {
  const ExprNode* ca = Constant(a);
  const ExprNode* cb = ca ? Constant(b) : nullptr;
  if (!cb) return {};
  if (ca->kind == ExprKind::kIntImm) {
    const auto value = FoldIntegers(op, ca->type, IntegerOf(ca), IntegerOf(cb));
    return value ? MakeInt(result, *value) : Expr();
  }
  const auto value = FoldFloats(op, FloatOf(ca), FloatOf(cb));
  if (!value) return {};
  return result.is_float() ? MakeFloat(result, *value)
                           : MakeInt(result, static_cast<int64_t>(*value));
}

}  // namespace

bool BinaryTypesAgree(BinaryOp op, Type a, Type b) {
  if (a != b || a.code == TypeCode::kToken) return false;
  switch (op) {
    case BinaryOp::kAnd:
    case BinaryOp::kOr:
      return a.is_bool();
    case BinaryOp::kMod:
    case BinaryOp::kSatAdd:
    case BinaryOp::kSatSub:
    case BinaryOp::kShiftLeft:
    case BinaryOp::kShiftRight:
    case BinaryOp::kBitAnd:
    case BinaryOp::kBitOr:
    case BinaryOp::kBitXor:
      return a.is_integer();
    default:
      return true;
  }
}

Expr::Expr(int value) : Expr(static_cast<int64_t>(value)) {}
Expr::Expr(int64_t value) : node_(std::make_shared<IntImm>(Index(), value)) {}

VarRef MakeVar(std::string name, Type type) { return std::make_shared<Var>(type, std::move(name)); }

Expr MakeInt(Type type, int64_t value) {
  TESSERA_CHECK(type.is_integer());
  const Type element = type.Element();
  return MakeBroadcast(std::make_shared<IntImm>(element, WrapInteger(element, value)), type.lanes);
}

Expr MakeFloat(Type type, double value) {
  TESSERA_CHECK(type.is_float());
  const Type element = type.Element();
  // One NaN, so that constants compare and print alike.
  const double rounded =
      std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : RoundFloat(element, value);
  return MakeBroadcast(std::make_shared<FloatImm>(element, rounded), type.lanes);
}

Expr MakeConst(Type type, double value) {
  return type.is_float() ? MakeFloat(type, value)
                         : MakeInt(type, FloatToInteger(type.Element(), value, false));
}

Expr MakeBinary(BinaryOp op, Expr a, Expr b) {
  TESSERA_CHECK(a && b && BinaryTypesAgree(op, a.type(), b.type()));
  const Type result = IsComparison(op) ? Bool().WithLanes(a.type().lanes) : a.type();
  if (Expr folded = FoldBinary(op, result, a, b)) return folded;
  if (IsLogic(op)) {
    const bool neutral = op == BinaryOp::kAnd;
    if (const int64_t* v = AsConstInt(a)) return (*v != 0) == neutral ? b : a;
    if (const int64_t* v = AsConstInt(b)) return (*v != 0) == neutral ? a : b;
  }
  return std::make_shared<Binary>(result, op, std::move(a), std::move(b));
}

Expr MakeNot(Expr a) {
  TESSERA_CHECK(a && a.type().is_bool());
  if (const int64_t* v = AsConstInt(a)) return MakeInt(a.type(), *v == 0);
  return std::make_shared<Not>(std::move(a));
}

Expr MakeSelect(Expr condition, Expr if_true, Expr if_false) {
  TESSERA_CHECK(condition && if_true && if_false);
  TESSERA_CHECK(condition.type().is_bool() && if_true.type() == if_false.type());
  TESSERA_CHECK(condition.type().lanes == 1 || condition.type().lanes == if_true.type().lanes);
  if (const int64_t* v = AsConstInt(condition)) return *v != 0 ? if_true : if_false;
  return std::make_shared<Select>(std::move(condition), std::move(if_true), std::move(if_false));
}

Expr MakeCast(Type type, Expr value, bool saturate) {
  TESSERA_CHECK(value && value.type().lanes == type.lanes);
  const Type from = value.type().Element(), to = type.Element();
  TESSERA_CHECK(from.code != TypeCode::kToken && to.code != TypeCode::kToken);
  if (from == to) return value;
  if (const ExprNode* c = Constant(value)) {
    if (c->kind == ExprKind::kIntImm) {
      if (to.is_float()) return MakeFloat(type, IntegerToFloat(to, from, IntegerOf(c)));
      return MakeInt(type, IntegerToInteger(to, from, IntegerOf(c), saturate));
    }
    if (to.is_float()) return MakeFloat(type, FloatOf(c));
    return MakeInt(type, FloatToInteger(to, FloatOf(c), saturate));
  }
  return std::make_shared<Cast>(type, std::move(value), saturate);
}

Expr MakeLoad(Buffer buffer, std::vector<Expr> indices, Expr predicate) {
  TESSERA_CHECK(buffer != nullptr);
  int lanes = 1;
  for (const Expr& index : indices) {
    TESSERA_CHECK(index && index.type().is_integer());
    if (!index.type().is_vector()) continue;
    TESSERA_CHECK(lanes == 1 || lanes == index.type().lanes);
    lanes = index.type().lanes;
  }
  if (predicate) {
    TESSERA_CHECK(predicate.type() == Bool().WithLanes(lanes));
    if (const int64_t* v = AsConstInt(predicate); v && *v != 0) predicate = {};
  }
  const Type type = buffer->type.WithLanes(lanes);
  return std::make_shared<Load>(type, std::move(buffer), std::move(indices), std::move(predicate));
}

Expr MakeRamp(Expr base, int64_t stride, int lanes) {
  TESSERA_CHECK(base && base.type().is_integer() && !base.type().is_vector() && lanes >= 1);
  if (lanes == 1) return base;
  return std::make_shared<Ramp>(std::move(base), stride, lanes);
}

Expr MakeBroadcast(Expr value, int lanes) {
  TESSERA_CHECK(value && !value.type().is_vector() && lanes >= 1);
  if (lanes == 1) return value;
  return std::make_shared<Broadcast>(std::move(value), lanes);
}

Expr MakeCall(Type type, std::string name, std::vector<Expr> args) {
  for (const Expr& arg : args) TESSERA_CHECK(arg);
  return std::make_shared<Call>(type, std::move(name), std::move(args));
}

Expr MakeReduce(BinaryOp op, Expr vector, int groups) {
  TESSERA_CHECK(vector && vector.type().is_vector());
  TESSERA_CHECK(groups >= 1 && vector.type().lanes % groups == 0);
  for (const auto& [name, reduces_by] : kReductions) {
    if (reduces_by != op) continue;
    const Type type = vector.type().WithLanes(groups);
    return MakeCall(type, std::string(name), {std::move(vector)});
  }
  CheckFailed("MakeReduce: add, mul, max or min", __FILE__, __LINE__);
}

namespace {

// One argument of the call's element type, whose lanes divide or are divided by the call's.
bool TakesLanes(const Call& call, bool more) {
  if (call.args.size() != 1) return false;
  const Type from = call.args[0].type(), to = call.type;
  if (from.Element() != to.Element()) return false;
  return more ? from.lanes > to.lanes && from.lanes % to.lanes == 0
              : to.lanes > from.lanes && to.lanes % from.lanes == 0;
}

}  // namespace

bool IsReduceOf(const Call& call) { return ReduceOp(call.name) && TakesLanes(call, true); }

Expr MakeRepeat(Expr value, int lanes) {
  TESSERA_CHECK(value && lanes % value.type().lanes == 0);
  if (value.type().lanes == lanes) return value;
  const Type type = value.type().WithLanes(lanes);
  return MakeCall(type, "repeat", {std::move(value)});
}

bool IsRepeat(const Call& call) { return call.name == "repeat" && TakesLanes(call, false); }

Expr MakeInterleave(std::vector<Expr> vectors) {
  TESSERA_CHECK(!vectors.empty());
  const Type one = vectors[0].type();
  const Type type = one.WithLanes(one.lanes * static_cast<int>(vectors.size()));
  Expr call = MakeCall(type, "interleave", std::move(vectors));
  TESSERA_CHECK(IsInterleave(*call.As<Call>()));
  return call;
}

bool IsInterleave(const Call& call) {
  const size_t count = call.args.size();
  if (call.name != "interleave" || (count != 2 && count != 4)) return false;
  const Type one = call.args[0].type();
  return call.type == one.WithLanes(one.lanes * static_cast<int>(count)) &&
         std::all_of(call.args.begin(), call.args.end(),
                     [&](const Expr& arg) { return arg.type() == one; });
}

std::optional<BinaryOp> ReduceOp(std::string_view name) {
  for (const auto& [known, op] : kReductions) {
    if (known == name) return op;
  }
  return std::nullopt;
}

Expr operator+(Expr a, Expr b) { return MakeBinary(BinaryOp::kAdd, std::move(a), std::move(b)); }
Expr operator-(Expr a, Expr b) { return MakeBinary(BinaryOp::kSub, std::move(a), std::move(b)); }
Expr operator*(Expr a, Expr b) { return MakeBinary(BinaryOp::kMul, std::move(a), std::move(b)); }
Expr operator/(Expr a, Expr b) { return MakeBinary(BinaryOp::kDiv, std::move(a), std::move(b)); }
Expr operator%(Expr a, Expr b) { return MakeBinary(BinaryOp::kMod, std::move(a), std::move(b)); }
Expr Min(Expr a, Expr b) { return MakeBinary(BinaryOp::kMin, std::move(a), std::move(b)); }
Expr Max(Expr a, Expr b) { return MakeBinary(BinaryOp::kMax, std::move(a), std::move(b)); }
Expr Eq(Expr a, Expr b) { return MakeBinary(BinaryOp::kEq, std::move(a), std::move(b)); }
Expr Lt(Expr a, Expr b) { return MakeBinary(BinaryOp::kLt, std::move(a), std::move(b)); }
Expr Le(Expr a, Expr b) { return MakeBinary(BinaryOp::kLe, std::move(a), std::move(b)); }

Expr And(Expr a, Expr b) {
  if (!a) return b;
  if (!b) return a;
  return MakeBinary(BinaryOp::kAnd, std::move(a), std::move(b));
}
Expr Or(Expr a, Expr b) { return MakeBinary(BinaryOp::kOr, std::move(a), std::move(b)); }

Expr MinValue(Type type) {
  if (type.is_float()) return MakeFloat(type, -std::numeric_limits<double>::infinity());
  return MakeInt(type, LowestInteger(type));
}

Expr MaxValue(Type type) {
  if (type.is_float()) return MakeFloat(type, std::numeric_limits<double>::infinity());
  return MakeInt(type, HighestInteger(type));
}

Expr Zero(Type type) { return type.is_float() ? MakeFloat(type, 0.0) : MakeInt(type, 0); }

const int64_t* AsConstInt(const Expr& e) {
  const ExprNode* c = Constant(e);
  return c && c->kind == ExprKind::kIntImm ? &static_cast<const IntImm*>(c)->value : nullptr;
}

int64_t MultipleOf(int64_t value) {
  constexpr int64_t kMost = 64;
  return value == 0 ? kMost : std::min(value & -value, kMost);
}

int64_t MultipleOf(const Expr& e, absl::FunctionRef<std::optional<int64_t>(const Expr&)> known) {
  if (const std::optional<int64_t> constant = known(e)) return MultipleOf(*constant);
  if (const auto* node = e.As<Binary>()) {
    const int64_t a = MultipleOf(node->a, known), b = MultipleOf(node->b, known);
    switch (node->op) {
      case BinaryOp::kAdd:
      case BinaryOp::kSub:
      case BinaryOp::kMin:
      case BinaryOp::kMax:
      case BinaryOp::kMod:
        return std::min(a, b);
      case BinaryOp::kMul:
        return MultipleOf(a * b);
      default:
        return 1;
    }
  }
  if (const auto* node = e.As<Select>()) {
    return std::min(MultipleOf(node->if_true, known), MultipleOf(node->if_false, known));
  }
  return 1;
}

bool IsConst(const Expr& e, double value) {
  const ExprNode* c = Constant(e);
  if (!c) return false;
  return c->kind == ExprKind::kIntImm ? IntegerToDouble(c->type, IntegerOf(c)) == value
                                      : FloatOf(c) == value;
}

std::string_view ToString(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSub:
      return "-";
    case BinaryOp::kMul:
      return "*";
    case BinaryOp::kDiv:
      return "/";
    case BinaryOp::kMod:
      return "%";
    case BinaryOp::kMin:
      return "min";
    case BinaryOp::kMax:
      return "max";
    case BinaryOp::kSatAdd:
      return "sat_add";
    case BinaryOp::kSatSub:
      return "sat_sub";
    case BinaryOp::kShiftLeft:
      return "shift_left";
    case BinaryOp::kShiftRight:
      return "shift_right";
    case BinaryOp::kBitAnd:
      return "bit_and";
    case BinaryOp::kBitOr:
      return "bit_or";
    case BinaryOp::kBitXor:
      return "bit_xor";
    case BinaryOp::kEq:
      return "==";
    case BinaryOp::kNe:
      return "!=";
    case BinaryOp::kLt:
      return "<";
    case BinaryOp::kLe:
      return "<=";
    case BinaryOp::kAnd:
      return "&&";
    case BinaryOp::kOr:
      return "||";
  }
  return "?";
}

}  // namespace tessera::ir
