#include <numeric>

#include "compiler/ir/numeric.h"
#include "compiler/ir/rewriter.h"

// The 64-bit integer half of the rewriter: sums, floor divisions, minima.

namespace tessera::ir {
namespace {

// The parts of x / c or x % c with a positive constant c.
struct Division {
  BinaryOp op;
  const Expr* dividend;
  int64_t divisor;
};

std::optional<Division> AsDivision(const Expr& e) {
  const auto* node = e.As<Binary>();
  if (!node || (node->op != BinaryOp::kDiv && node->op != BinaryOp::kMod)) return std::nullopt;
  const int64_t* divisor = AsConstInt(node->b);
  if (!divisor || *divisor <= 0) return std::nullopt;
  return Division{node->op, &node->a, *divisor};
}

bool IsPowerOfTwo(int64_t value) { return value > 0 && (value & (value - 1)) == 0; }

Affine ConstantAffine(int64_t value, int lanes) {
  Affine constant;
  constant.constant = value;
  constant.lanes = lanes;
  return constant;
}

// An operation of two broadcasts is one of their values.
Expr MakeUniformBinary(BinaryOp op, const Expr& a, const Expr& b) {
  const auto *x = a.As<Broadcast>(), *y = b.As<Broadcast>();
  return x && y ? MakeBinary(op, x->value, y->value) : MakeBinary(op, a, b);
}

}  // namespace

Affine Rewriter::ToAffine(const Expr& e) {
  Affine sum;
  sum.lanes = e.type().lanes;
  Accumulate(e, 1, sum);
  sum.DropZeros();
  Recombine(sum);
  return sum;
}

Affine Rewriter::ToAffineNormal(const Expr& e) {
  Affine sum;
  sum.lanes = e.type().lanes;
  AccumulateNormal(e, 1, sum);
  sum.DropZeros();
  return sum;
}

Expr Rewriter::Build(Affine sum) {
  sum.Sort(Ordinals());
  return sum.Build();
}

Expr Rewriter::BuildScalarIfUniform(Affine sum) {
  if (sum.IsUniform()) sum.lanes = 1;
  return Build(std::move(sum));
}

void Rewriter::AddAtom(const Expr& atom, int64_t scale, Affine& out) {
  const auto range = BoundWith(atom, [this](const Var* var) { return known_.RangeOf(var); });
  out.Add(atom, scale, range);
}

void Rewriter::Accumulate(const Expr& e, int64_t scale, Affine& out) {
  switch (e->kind) {
    case ExprKind::kIntImm:
      out.constant = WrappingAdd(out.constant, WrappingMul(scale, e.As<IntImm>()->value));
      return;
    case ExprKind::kVar: {
      const std::optional<Interval> range = known_.RangeOf(e.As<Var>());
      if (range && range->min == range->max) {
        out.constant = WrappingAdd(out.constant, WrappingMul(scale, range->min));
      } else {
        out.Add(e, scale, range);
      }
      return;
    }
    case ExprKind::kBroadcast:
      return Accumulate(e.As<Broadcast>()->value, scale, out);
    case ExprKind::kRamp: {
      const auto& ramp = *e.As<Ramp>();
      out.lane_stride = WrappingAdd(out.lane_stride, WrappingMul(scale, ramp.stride));
      return Accumulate(ramp.base, scale, out);
    }
    case ExprKind::kBinary:
      return AccumulateBinary(*e.As<Binary>(), scale, out);
    default:
      return AccumulateNormal(Rewrite(e), scale, out);
  }
}

void Rewriter::AccumulateNormal(const Expr& e, int64_t scale, Affine& out) {
  switch (e->kind) {
    case ExprKind::kIntImm:
    case ExprKind::kVar:
      return Accumulate(e, scale, out);
    case ExprKind::kBroadcast:
      return AccumulateNormal(e.As<Broadcast>()->value, scale, out);
    case ExprKind::kRamp: {
      const auto& ramp = *e.As<Ramp>();
      out.lane_stride = WrappingAdd(out.lane_stride, WrappingMul(scale, ramp.stride));
      return AccumulateNormal(ramp.base, scale, out);
    }
    case ExprKind::kBinary: {
      const auto& node = *e.As<Binary>();
      const int64_t* factor = AsConstInt(node.b);
      if (node.op == BinaryOp::kAdd || node.op == BinaryOp::kSub) {
        AccumulateNormal(node.a, scale, out);
        return AccumulateNormal(node.b, node.op == BinaryOp::kAdd ? scale : WrappingSub(0, scale),
                                out);
      }
      if (node.op == BinaryOp::kMul && factor) {
        return AccumulateNormal(node.a, WrappingMul(scale, *factor), out);
      }
      return AddAtom(e, scale, out);
    }
    default:
      return AddAtom(e, scale, out);
  }
}

void Rewriter::AccumulateBinary(const Binary& node, int64_t scale, Affine& out) {
  switch (node.op) {
    case BinaryOp::kAdd:
      Accumulate(node.a, scale, out);
      return Accumulate(node.b, scale, out);
    case BinaryOp::kSub:
      Accumulate(node.a, scale, out);
      return Accumulate(node.b, WrappingSub(0, scale), out);
    case BinaryOp::kMul:
      return AccumulateProduct(node, scale, out);
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      return AccumulateMinMax(node, scale, out);
    default:
      break;
  }
  const Expr b = Rewrite(node.b);
  if (const int64_t* constant = AsConstInt(b)) {
    const int64_t c = *constant;
    switch (node.op) {
      case BinaryOp::kDiv:
      case BinaryOp::kMod:
        if (c <= 0) break;
        return out.AddScaled(Divide(ToAffine(node.a), c, node.op == BinaryOp::kMod), scale);
      case BinaryOp::kShiftLeft:
        if (c < 0 || c > 62) break;
        return Accumulate(node.a, WrappingMul(scale, int64_t{1} << c), out);
      case BinaryOp::kShiftRight:
        if (c < 0 || c > 62) break;
        return out.AddScaled(Divide(ToAffine(node.a), int64_t{1} << c, false), scale);
      case BinaryOp::kBitAnd:
        if (c == INT64_MAX || !IsPowerOfTwo(c + 1)) break;
        return out.AddScaled(Divide(ToAffine(node.a), c + 1, true), scale);
      default:
        break;
    }
  }
  const Expr whole = MakeUniformBinary(node.op, Rewrite(node.a), b);
  if (whole->kind == ExprKind::kBinary) return AddAtom(whole, scale, out);
  AccumulateNormal(whole, scale, out);
}

void Rewriter::AccumulateProduct(const Binary& node, int64_t scale, Affine& out) {
  if (const int64_t* factor = AsConstInt(node.b)) {
    return Accumulate(node.a, WrappingMul(scale, *factor), out);
  }
  if (const int64_t* factor = AsConstInt(node.a)) {
    return Accumulate(node.b, WrappingMul(scale, *factor), out);
  }
  const Affine a = ToAffine(node.a), b = ToAffine(node.b);
  if (b.IsConstant()) return out.AddScaled(a, WrappingMul(scale, b.constant));
  if (a.IsConstant()) return out.AddScaled(b, WrappingMul(scale, a.constant));
  const bool uniform = a.IsUniform() && b.IsUniform();
  Expr x = uniform ? BuildScalarIfUniform(a) : Build(a);
  Expr y = uniform ? BuildScalarIfUniform(b) : Build(b);
  if (CompareExprs(x, y, Ordinals()) > 0) std::swap(x, y);
  const auto x_range = known_.RangeOf(a), y_range = known_.RangeOf(b);
  out.Add(x * y, scale, x_range && y_range ? MultiplyIntervals(*x_range, *y_range) : std::nullopt);
}

void Rewriter::AccumulateMinMax(const Binary& node, int64_t scale, Affine& out) {
  const bool min = node.op == BinaryOp::kMin;
  const Affine a = ToAffine(node.a), b = ToAffine(node.b);
  const auto a_range = known_.RangeOf(a), b_range = known_.RangeOf(b);
  Affine difference = a;
  difference.AddScaled(b, -1);
  difference.DropZeros();
  if (difference.IsConstant() && difference.constant == 0) return out.AddScaled(a, scale);
  std::optional<Interval> range;
  if (a_range && b_range) {
    if (const auto sign = known_.RangeOf(difference)) {
      if (sign->max <= 0) return out.AddScaled(min ? a : b, scale);
      if (sign->min >= 0) return out.AddScaled(min ? b : a, scale);
    }
    range = min ? MinIntervals(*a_range, *b_range) : MaxIntervals(*a_range, *b_range);
  }
  const bool uniform = a.IsUniform() && b.IsUniform();
  Expr x = uniform ? BuildScalarIfUniform(a) : Build(a);
  Expr y = uniform ? BuildScalarIfUniform(b) : Build(b);
  if (AsConstInt(x) || (!AsConstInt(y) && CompareExprs(x, y, Ordinals()) > 0)) std::swap(x, y);
  // min(min(x, 3), 5) is min(x, 3).
  if (const auto* inner = x.As<Binary>();
      inner && inner->op == node.op && AsConstInt(y) && AsConstInt(inner->b)) {
    y = MakeBinary(node.op, inner->b, y);
    x = inner->a;
  }
  out.Add(MakeBinary(node.op, x, y), scale, range);
}

Affine Rewriter::Divide(Affine x, int64_t divisor, bool modulo) {
  const int lanes = x.lanes;
  if (divisor == 1) return modulo ? ConstantAffine(0, lanes) : x;
  x.DropZeros();
  const std::optional<Interval> range = known_.RangeOf(x);
  if (range) {
    if (FloorDiv(range->min, divisor) == FloorDiv(range->max, divisor)) {
      const int64_t quotient = FloorDiv(range->min, divisor);
      if (!modulo) return ConstantAffine(quotient, lanes);
      x.constant = WrappingSub(x.constant, WrappingMul(quotient, divisor));
      return x;
    }
    Affine quotient, remainder;
    quotient.lanes = remainder.lanes = lanes;
    for (const Affine::Term& term : x.terms) {
      const int64_t whole = term.coefficient / divisor, part = term.coefficient % divisor;
      if (whole != 0) quotient.terms.push_back({term.atom, whole, term.range});
      if (part != 0) remainder.terms.push_back({term.atom, part, term.range});
    }
    quotient.lane_stride = x.lane_stride / divisor;
    remainder.lane_stride = x.lane_stride % divisor;
    quotient.constant = FloorDiv(x.constant, divisor);
    remainder.constant = FloorMod(x.constant, divisor);
    if (known_.RangeOf(quotient) && known_.RangeOf(remainder)) {
      Affine result = DivideRemainder(std::move(remainder), divisor, modulo);
      if (!modulo) result.AddScaled(quotient, 1);
      result.DropZeros();
      return result;
    }
  } else if (modulo && IsPowerOfTwo(divisor)) {
    // 2^k divides 2^64, so the residue survives any wrapping.
    for (Affine::Term& term : x.terms) term.coefficient = FloorMod(term.coefficient, divisor);
    x.lane_stride = FloorMod(x.lane_stride, divisor);
    x.constant = FloorMod(x.constant, divisor);
    x.DropZeros();
    if (x.IsConstant()) return x;
  }
  return DivisionAtom(std::move(x), divisor, modulo, range);
}

Affine Rewriter::DivisionAtom(Affine x, int64_t divisor, bool modulo,
                              const std::optional<Interval>& range) {
  Affine result = ConstantAffine(0, x.lanes);
  const Expr dividend = BuildScalarIfUniform(std::move(x));
  const Expr atom = MakeBinary(modulo ? BinaryOp::kMod : BinaryOp::kDiv, dividend,
                               MakeInt(dividend.type(), divisor));
  std::optional<Interval> atom_range;
  if (modulo) {
    atom_range = range ? ModuloInterval(*range, divisor) : Interval{0, divisor - 1};
  } else if (range) {
    atom_range = Interval{FloorDiv(range->min, divisor), FloorDiv(range->max, divisor)};
  }
  result.Add(atom, 1, atom_range);
  return result;
}

// What of `x` never leaves one multiple of a divisor of `divisor` of which all else is a multiple,
// so that it has no part in the quotient: j of 16 * i + j by 32, where j is in [0, 16).
std::optional<Affine> Rewriter::WithinMultiple(const Affine& x, int64_t divisor) const {
  absl::InlinedVector<int64_t, 4> multiples;
  Affine terms = x;
  terms.lane_stride = 0;
  if (x.lane_stride != 0) multiples.push_back(terms.CommonDivisor(divisor));
  for (const Affine::Term& term : x.terms) {
    multiples.push_back(std::gcd(term.coefficient, divisor));
  }
  for (const int64_t multiple : multiples) {
    Affine within = ConstantAffine(FloorMod(x.constant, multiple), x.lanes);
    for (const Affine::Term& term : x.terms) {
      if (term.coefficient % multiple != 0) within.terms.push_back(term);
    }
    if (x.lane_stride % multiple != 0) within.lane_stride = x.lane_stride;
    if (within.IsConstant()) continue;
    const std::optional<Interval> range = known_.RangeOf(within);
    if (range && range->min >= 0 && range->max < multiple) return within;
  }
  return std::nullopt;
}

// `x` is known not to wrap; its coefficients are below the divisor, its constant in [0, divisor).
Affine Rewriter::DivideRemainder(Affine x, int64_t divisor, bool modulo) {
  const std::optional<Interval> range = known_.RangeOf(x);
  if (x.IsConstant() || FloorDiv(range->min, divisor) == FloorDiv(range->max, divisor)) {
    const int64_t quotient = FloorDiv(range->min, divisor);
    if (!modulo) return ConstantAffine(quotient, x.lanes);
    x.constant = WrappingSub(x.constant, WrappingMul(quotient, divisor));
    return x;
  }
  if (const int64_t common = x.CommonDivisor(divisor); common > 1) {
    for (Affine::Term& term : x.terms) term.coefficient /= common;
    x.lane_stride /= common;
    const int64_t left = x.constant % common;
    x.constant /= common;
    Affine result = Divide(std::move(x), divisor / common, modulo);
    if (modulo) {
      result.Scale(common);
      result.constant = WrappingAdd(result.constant, left);
    }
    return result;
  }
  if (const std::optional<Affine> within = WithinMultiple(x, divisor)) {
    Affine shared = x;
    shared.AddScaled(*within, -1);
    shared.DropZeros();
    if (known_.RangeOf(shared)) {
      Affine result = Divide(std::move(shared), divisor, modulo);
      if (modulo) result.AddScaled(*within, 1);
      return result;
    }
  }
  if (modulo) {
    // y % m counts like y when the divisor divides m.
    for (const Affine::Term& term : x.terms) {
      const auto inner = AsDivision(term.atom);
      if (!inner || inner->op != BinaryOp::kMod || inner->divisor % divisor != 0) continue;
      Affine through = x;
      through.Add(term.atom, WrappingSub(0, term.coefficient), term.range);
      through.AddScaled(ToAffineNormal(*inner->dividend), term.coefficient);
      through.DropZeros();
      if (known_.RangeOf(through)) return Divide(std::move(through), divisor, true);
    }
  } else if (x.terms.size() == 1 && x.terms[0].coefficient == 1 && x.lane_stride == 0) {
    const auto inner = AsDivision(x.terms[0].atom);
    int64_t product;
    if (inner && inner->op == BinaryOp::kDiv &&
        !__builtin_mul_overflow(inner->divisor, divisor, &product)) {
      // (y / d + r) / c is (y + r·d) / (c·d).
      Affine through = ToAffineNormal(*inner->dividend);
      through.lanes = x.lanes;
      through.constant = WrappingAdd(through.constant, x.constant * inner->divisor);
      if (known_.RangeOf(through)) return Divide(std::move(through), product, false);
    }
    if (inner && inner->op == BinaryOp::kMod && x.constant == 0 && inner->divisor % divisor == 0) {
      // (y % m) / c is (y / c) % (m / c).
      Affine through = ToAffineNormal(*inner->dividend);
      through.lanes = x.lanes;
      if (known_.RangeOf(through)) {
        return Divide(Divide(std::move(through), divisor, false), inner->divisor / divisor, true);
      }
    }
  }
  return DivisionAtom(std::move(x), divisor, modulo, range);
}

bool Rewriter::RecombineOnce(Affine& sum) {
  for (size_t i = 0; i < sum.terms.size(); ++i) {
    const auto modulo = AsDivision(sum.terms[i].atom);
    if (!modulo || modulo->op != BinaryOp::kMod) continue;
    const int64_t scale = sum.terms[i].coefficient;
    int64_t quotient_scale;
    if (__builtin_mul_overflow(scale, modulo->divisor, &quotient_scale)) continue;
    for (size_t j = 0; j < sum.terms.size(); ++j) {
      if (j == i || sum.terms[j].coefficient != quotient_scale) continue;
      const auto other = AsDivision(sum.terms[j].atom);
      if (!other) continue;
      Affine joined;
      if (other->op == BinaryOp::kDiv && other->divisor == modulo->divisor &&
          SameTree(*other->dividend, *modulo->dividend)) {
        joined = ToAffineNormal(*modulo->dividend);  // (y / c) * c + y % c
      } else if (const auto inner = AsDivision(*other->dividend);
                 other->op == BinaryOp::kMod && inner && inner->op == BinaryOp::kDiv &&
                 inner->divisor == modulo->divisor &&
                 SameTree(*inner->dividend, *modulo->dividend)) {
        int64_t product;  // (y / c % m) * c + y % c
        if (__builtin_mul_overflow(modulo->divisor, other->divisor, &product)) continue;
        joined = Divide(ToAffineNormal(*modulo->dividend), product, true);
      } else {
        continue;
      }
      sum.terms.erase(sum.terms.begin() + std::max(i, j));
      sum.terms.erase(sum.terms.begin() + std::min(i, j));
      sum.AddScaled(joined, scale);
      sum.DropZeros();
      return true;
    }
  }
  return false;
}

void Rewriter::Recombine(Affine& sum) {
  if (sum.terms.size() < 2) return;
  while (RecombineOnce(sum)) {
  }
}

}  // namespace tessera::ir
