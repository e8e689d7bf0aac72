#include "compiler/ir/rewriter.h"

#include <algorithm>
#include <cmath>

#include "compiler/ir/numeric.h"

namespace tessera::ir {
namespace {

bool IsIndex(Type type) { return type.Element() == Index(); }

Expr Truth(Type type, bool value) { return MakeInt(type, value); }

// An operation of two broadcasts is a broadcast of the operation.
Expr MakeBinaryOfAny(BinaryOp op, const Expr& a, const Expr& b) {
  const auto *x = a.As<Broadcast>(), *y = b.As<Broadcast>();
  if (!x || !y) return MakeBinary(op, a, b);
  return MakeBroadcast(MakeBinary(op, x->value, y->value), a.type().lanes);
}

Expr KeepIfSame(const Expr& made, const Expr& self) { return SameTree(made, self) ? self : made; }

bool IsPositiveZero(const Expr& e) {
  const auto* broadcast = e.As<Broadcast>();
  const auto* imm = broadcast ? broadcast->value.As<FloatImm>() : e.As<FloatImm>();
  return imm && imm->value == 0 && !std::signbit(imm->value);
}

// An identity that holds for every value of the operands, or nothing.
Expr TrivialIdentity(BinaryOp op, const Expr& a, const Expr& b) {
  const bool integer = a.type().is_integer();
  switch (op) {
    case BinaryOp::kAdd:
      if (integer && IsConst(b, 0)) return a;
      if (integer && IsConst(a, 0)) return b;
      return {};
    case BinaryOp::kSub:
      return (integer && IsConst(b, 0)) || IsPositiveZero(b) ? a : Expr();
    case BinaryOp::kMul:
      if (IsConst(b, 1)) return a;
      if (IsConst(a, 1)) return b;
      if (integer && IsConst(b, 0)) return b;
      if (integer && IsConst(a, 0)) return a;
      return {};
    case BinaryOp::kDiv:
      return IsConst(b, 1) ? a : Expr();
    case BinaryOp::kMod:
      return IsConst(b, 1) ? Zero(a.type()) : Expr();
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      return SameTree(a, b) ? a : Expr();
    case BinaryOp::kEq:
    case BinaryOp::kLe:
      return integer && SameTree(a, b) ? Truth(Bool().WithLanes(a.type().lanes), true) : Expr();
    case BinaryOp::kNe:
    case BinaryOp::kLt:
      return integer && SameTree(a, b) ? Truth(Bool().WithLanes(a.type().lanes), false) : Expr();
    default:
      return {};
  }
}

void FlattenAnd(const Expr& e, std::vector<Expr>& parts) {
  const auto* node = e.As<Binary>();
  if (node && node->op == BinaryOp::kAnd) {
    FlattenAnd(node->a, parts);
    FlattenAnd(node->b, parts);
  } else {
    parts.push_back(e);
  }
}

__int128 FloorDivideWide(__int128 a, int64_t b) {
  const __int128 q = a / b;
  return q - (a % b != 0 && a % b < 0);
}

}  // namespace

Expr Rewriter::Rewrite(const Expr& e) {
  switch (e->kind) {
    case ExprKind::kIntImm:
    case ExprKind::kFloatImm:
      return e;
    case ExprKind::kVar: {
      if (!e.type().is_integer()) return e;
      const std::optional<Interval> range = known_.RangeOf(e.As<Var>());
      return range && range->min == range->max ? MakeInt(e.type(), range->min) : e;
    }
    case ExprKind::kBinary:
      return RewriteBinary(e, *e.As<Binary>());
    case ExprKind::kNot:
      return RewriteNot(e, *e.As<Not>());
    case ExprKind::kSelect:
      return RewriteSelect(e, *e.As<Select>());
    case ExprKind::kCast:
      return RewriteCast(e, *e.As<Cast>());
    case ExprKind::kLoad:
      return RewriteLoad(e, *e.As<Load>());
    case ExprKind::kCall:
      return RewriteCall(e, *e.As<Call>());
    case ExprKind::kRamp: {
      const auto& node = *e.As<Ramp>();
      if (IsIndex(e.type())) return KeepIfSame(Build(ToAffine(e)), e);
      const Expr base = Rewrite(node.base);
      if (node.stride == 0) return MakeBroadcast(base, node.type.lanes);
      return base.Same(node.base) ? e : MakeRamp(base, node.stride, node.type.lanes);
    }
    case ExprKind::kBroadcast: {
      const auto& node = *e.As<Broadcast>();
      const Expr value = Rewrite(node.value);
      return value.Same(node.value) ? e : MakeBroadcast(value, node.type.lanes);
    }
  }
  return e;
}

std::optional<Interval> Rewriter::RangeOf(const Expr& index) {
  if (!IsIndex(index.type())) {
    return BoundWith(index, [this](const Var* var) { return known_.RangeOf(var); });
  }
  return known_.RangeOf(ToAffine(index));
}

Expr Rewriter::RewriteBinary(const Expr& e, const Binary& node) {
  if (IsIndex(e.type())) return KeepIfSame(Build(ToAffine(e)), e);
  if (node.op == BinaryOp::kAnd || node.op == BinaryOp::kOr) return RewriteLogic(e, node);
  const bool comparison = node.op == BinaryOp::kLt || node.op == BinaryOp::kLe ||
                          node.op == BinaryOp::kEq || node.op == BinaryOp::kNe;
  if (comparison && IsIndex(node.a.type())) {
    return KeepIfSame(RewriteCompare(node.op, node.a, node.b), e);
  }
  const Expr a = Rewrite(node.a), b = Rewrite(node.b);
  if (Expr simple = TrivialIdentity(node.op, a, b)) return simple;
  const bool uniform = a.As<Broadcast>() && b.As<Broadcast>();
  if (!uniform && a.Same(node.a) && b.Same(node.b)) return e;
  return MakeBinaryOfAny(node.op, a, b);
}

// Canonical: `sum < constant` with a positive first coefficient, `constant <= sum` where it would
// be negative, `sum == constant` and `sum != constant`.
Expr Rewriter::RewriteCompare(BinaryOp op, const Expr& a, const Expr& b) {
  const Affine left = ToAffine(a), right = ToAffine(b);
  const Type truth = Bool().WithLanes(a.type().lanes);
  Affine difference = left;
  difference.AddScaled(right, -1);
  difference.DropZeros();
  Recombine(difference);
  const bool equality = op == BinaryOp::kEq || op == BinaryOp::kNe;
  if (equality && difference.IsConstant()) {
    return Truth(truth, (difference.constant == 0) == (op == BinaryOp::kEq));
  }
  // Without wrapping, a < b is a - b < 0.
  std::optional<Interval> range;
  if (known_.RangeOf(left) && known_.RangeOf(right)) range = known_.RangeOf(difference);
  if (!range) {
    const Expr x = Build(left), y = Build(right);
    if (Expr simple = TrivialIdentity(op, x, y)) return simple;
    return MakeBinaryOfAny(op, x, y);
  }
  if (equality) {
    if (range->min > 0 || range->max < 0) return Truth(truth, op == BinaryOp::kNe);
    if (range->min == 0 && range->max == 0) return Truth(truth, op == BinaryOp::kEq);
  } else {
    const int64_t limit = op == BinaryOp::kLe;
    if (range->max < limit) return Truth(truth, true);
    if (range->min >= limit) return Truth(truth, false);
  }
  const int64_t common = difference.CommonDivisor(0);
  const __int128 constant = difference.constant;
  difference.constant = 0;
  for (Affine::Term& term : difference.terms) term.coefficient /= common;
  difference.lane_stride /= common;
  difference.Sort(Ordinals());
  const bool negative =
      difference.terms.empty() ? difference.lane_stride < 0 : difference.terms[0].coefficient < 0;
  if (negative) difference.Scale(-1);
  if (!known_.RangeOf(difference)) return MakeBinaryOfAny(op, Build(left), Build(right));
  const auto compare = [&](BinaryOp with, bool constant_first, __int128 value) {
    const Expr sum = difference.Build();
    const Expr number = MakeInt(sum.type(), static_cast<int64_t>(value));
    return constant_first ? MakeBinaryOfAny(with, number, sum) : MakeBinaryOfAny(with, sum, number);
  };
  if (equality) {
    if (constant % common != 0) return Truth(truth, op == BinaryOp::kNe);
    return compare(op, false, negative ? constant / common : -constant / common);
  }
  // common × T < -constant  is  T < bound.
  const __int128 bound = op == BinaryOp::kLe ? FloorDivideWide(-constant, common) + 1
                                             : -FloorDivideWide(constant, common);
  return negative ? compare(BinaryOp::kLe, true, 1 - bound) : compare(BinaryOp::kLt, false, bound);
}

Expr Rewriter::RewriteLogic(const Expr& e, const Binary& node) {
  const size_t mark = known_.Mark();
  if (node.op == BinaryOp::kOr) {
    const Expr a = Rewrite(node.a);
    if (!Assume(a, false)) {
      known_.Rewind(mark);
      return Truth(e.type(), true);
    }
    const Expr b = Rewrite(node.b);
    known_.Rewind(mark);
    if (SameTree(a, b)) return a;
    if (a.Same(node.a) && b.Same(node.b)) return e;
    return MakeBinaryOfAny(BinaryOp::kOr, a, b);
  }
  std::vector<Expr> given, parts;
  FlattenAnd(e, given);
  for (const Expr& part : given) {
    const Expr made = Rewrite(part);
    if (const int64_t* value = AsConstInt(made); value && *value != 0) continue;
    if (AsConstInt(made) || !Assume(made)) {
      known_.Rewind(mark);
      return Truth(e.type(), false);
    }
    FlattenAnd(made, parts);
  }
  known_.Rewind(mark);
  // A condition that the others imply goes. Long lists would cost the square.
  constexpr size_t kMaxParts = 6;
  for (size_t i = 0; parts.size() > 1 && parts.size() <= kMaxParts && i < parts.size();) {
    bool possible = true;
    for (size_t j = 0; j < parts.size(); ++j) possible = possible && (j == i || Assume(parts[j]));
    const Expr made = possible ? Rewrite(parts[i]) : parts[i];
    known_.Rewind(mark);
    const int64_t* value = AsConstInt(made);
    if (!possible || (value && *value == 0)) return Truth(e.type(), false);
    const bool repeated = std::any_of(parts.begin(), parts.begin() + i,
                                      [&](const Expr& other) { return SameTree(other, parts[i]); });
    if (value || repeated) {
      parts.erase(parts.begin() + i);
    } else {
      ++i;
    }
  }
  if (parts.empty()) return Truth(e.type(), true);
  Expr all = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) all = MakeBinaryOfAny(BinaryOp::kAnd, all, parts[i]);
  return KeepIfSame(all, e);
}

Expr Rewriter::RewriteNot(const Expr& e, const Not& node) {
  const Expr a = Rewrite(node.a);
  if (const auto* broadcast = a.As<Broadcast>()) {
    return MakeBroadcast(RewriteNegation(broadcast->value), a.type().lanes);
  }
  return KeepIfSame(RewriteNegation(a), e);
}

Expr Rewriter::RewriteNegation(const Expr& a) {
  if (const auto* inner = a.As<Not>()) return inner->a;
  const auto* node = a.As<Binary>();
  if (!node || !node->a.type().is_integer()) return MakeNot(a);
  switch (node->op) {
    case BinaryOp::kEq:
      return MakeBinary(BinaryOp::kNe, node->a, node->b);
    case BinaryOp::kNe:
      return MakeBinary(BinaryOp::kEq, node->a, node->b);
    case BinaryOp::kLt:
      return IsIndex(node->a.type()) ? RewriteCompare(BinaryOp::kLe, node->b, node->a)
                                     : Le(node->b, node->a);
    case BinaryOp::kLe:
      return IsIndex(node->a.type()) ? RewriteCompare(BinaryOp::kLt, node->b, node->a)
                                     : Lt(node->b, node->a);
    default:
      return MakeNot(a);
  }
}

Expr Rewriter::RewriteSelect(const Expr& e, const Select& node) {
  Expr condition = Rewrite(node.condition);
  if (const auto* broadcast = condition.As<Broadcast>()) condition = broadcast->value;
  if (const int64_t* value = AsConstInt(condition)) {
    return Rewrite(*value != 0 ? node.if_true : node.if_false);
  }
  const size_t mark = known_.Mark();
  if (!Assume(condition)) {
    known_.Rewind(mark);
    return Rewrite(node.if_false);
  }
  const Expr if_true = Rewrite(node.if_true);
  known_.Rewind(mark);
  if (!Assume(condition, false)) {
    known_.Rewind(mark);
    return if_true;
  }
  const Expr if_false = Rewrite(node.if_false);
  known_.Rewind(mark);
  if (SameTree(if_true, if_false)) return if_true;
  const auto *x = if_true.As<Broadcast>(), *y = if_false.As<Broadcast>();
  if (!condition.type().is_vector() && x && y) {
    return MakeBroadcast(MakeSelect(condition, x->value, y->value), e.type().lanes);
  }
  if (condition.Same(node.condition) && if_true.Same(node.if_true) &&
      if_false.Same(node.if_false)) {
    return e;
  }
  return MakeSelect(condition, if_true, if_false);
}

Expr Rewriter::RewriteCast(const Expr& e, const Cast& node) {
  const Expr value = Rewrite(node.value);
  if (const auto* broadcast = value.As<Broadcast>()) {
    return MakeBroadcast(MakeCast(node.type.Element(), broadcast->value, node.saturate),
                         node.type.lanes);
  }
  // A vector of consecutive narrow numbers costs one wide number.
  const auto* ramp = value.As<Ramp>();
  if (ramp && node.type.is_integer() && !node.type.is_bool() && !node.saturate &&
      node.type.bits <= value.type().bits) {
    return MakeRamp(Rewrite(MakeCast(node.type.Element(), ramp->base)), ramp->stride,
                    node.type.lanes);
  }
  return value.Same(node.value) ? e : MakeCast(node.type, value, node.saturate);
}

Expr Rewriter::RewriteLoad(const Expr& e, const Load& node) {
  const size_t mark = known_.Mark();
  Expr predicate = node.predicate;
  if (predicate) {
    predicate = Rewrite(predicate);
    const int64_t* value = AsConstInt(predicate);
    if ((value && *value == 0) || !Assume(predicate)) {
      known_.Rewind(mark);
      return Zero(node.type);
    }
    if (value) predicate = {};
  }
  std::vector<Expr> indices;
  bool changed = !predicate.Same(node.predicate), vector = false;
  indices.reserve(node.indices.size());
  for (const Expr& index : node.indices) {
    indices.push_back(indices_->Rewrite(index));
    changed = changed || !indices.back().Same(index);
    vector = vector || !indices.back().As<Broadcast>();
  }
  known_.Rewind(mark);
  if (node.type.is_vector() && !predicate && !vector) {
    for (Expr& index : indices) index = index.As<Broadcast>()->value;
    return MakeBroadcast(MakeLoad(node.buffer, std::move(indices)), node.type.lanes);
  }
  return changed ? MakeLoad(node.buffer, std::move(indices), predicate) : e;
}

Expr Rewriter::RewriteCall(const Expr& e, const Call& node) {
  std::vector<Expr> args;
  bool changed = false;
  args.reserve(node.args.size());
  for (const Expr& arg : node.args) {
    args.push_back(Rewrite(arg));
    changed = changed || !args.back().Same(arg);
  }
  return changed ? MakeCall(node.type, node.name, std::move(args)) : e;
}

bool Rewriter::Assume(const Expr& condition, bool holds) {
  if (const auto* node = condition.As<Not>()) return Assume(node->a, !holds);
  if (const auto* node = condition.As<Broadcast>()) return Assume(node->value, holds);
  const auto* node = condition.As<Binary>();
  if (!node) return true;
  if (node->op == (holds ? BinaryOp::kAnd : BinaryOp::kOr)) {
    return Assume(node->a, holds) && Assume(node->b, holds);
  }
  if (!IsIndex(node->a.type())) return true;
  const bool equal = node->op == (holds ? BinaryOp::kEq : BinaryOp::kNe);
  if (!equal && node->op != BinaryOp::kLt && node->op != BinaryOp::kLe) return true;
  const Affine left = ToAffine(node->a), right = ToAffine(node->b);
  if (!known_.RangeOf(left) || !known_.RangeOf(right)) return true;
  Affine difference = left;
  difference.AddScaled(right, -1);
  difference.DropZeros();
  constexpr __int128 kFar = static_cast<__int128>(1) << 100;
  const int slack = node->op == BinaryOp::kLe;
  if (equal) return AssumeSum(difference, 0, 0);
  return holds ? AssumeSum(difference, -kFar, slack - 1) : AssumeSum(difference, slack, kFar);
}

bool Rewriter::AssumeSum(const Affine& sum, __int128 low, __int128 high) {
  if (!known_.Assume(sum, low, high)) return false;
  if (sum.terms.size() != 1 || sum.lane_stride != 0) return true;
  // low <= y / c <= high says where y lies.
  const auto* node = sum.terms[0].atom.As<Binary>();
  const int64_t* divisor = node && node->op == BinaryOp::kDiv ? AsConstInt(node->b) : nullptr;
  if (!divisor || *divisor <= 0) return true;
  Affine quotient;
  quotient.lanes = sum.lanes;
  quotient.Add(sum.terms[0].atom, 1, sum.terms[0].range);
  const std::optional<Interval> range = known_.RangeOf(quotient);
  if (!range) return true;
  const __int128 c = *divisor;
  return known_.Assume(ToAffineNormal(node->a), range->min * c, range->max * c + c - 1);
}

}  // namespace tessera::ir
