#include "compiler/ir/interval.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/numeric.h"

namespace tessera::ir {

std::optional<Interval> MultiplyIntervals(const Interval& a, const Interval& b) {
  WideInterval wide;
  const auto corner = [](int64_t x, int64_t y) { return static_cast<__int128>(x) * y; };
  const __int128 corners[] = {corner(a.min, b.min), corner(a.min, b.max), corner(a.max, b.min),
                              corner(a.max, b.max)};
  wide.min = *std::min_element(std::begin(corners), std::end(corners));
  wide.max = *std::max_element(std::begin(corners), std::end(corners));
  return wide.Narrow();
}

std::optional<Interval> DivideIntervals(const Interval& a, const Interval& b) {
  if (b.min <= 0 && b.max >= 0) return std::nullopt;
  if (a.min == INT64_MIN && b.min <= -1 && b.max >= -1) return std::nullopt;
  const int64_t corners[] = {FloorDiv(a.min, b.min), FloorDiv(a.min, b.max), FloorDiv(a.max, b.min),
                             FloorDiv(a.max, b.max)};
  return Interval{*std::min_element(std::begin(corners), std::end(corners)),
                  *std::max_element(std::begin(corners), std::end(corners))};
}

Interval ModuloInterval(const Interval& a, int64_t divisor) {
  if (FloorDiv(a.min, divisor) == FloorDiv(a.max, divisor)) {
    return {FloorMod(a.min, divisor), FloorMod(a.max, divisor)};
  }
  return {0, divisor - 1};
}

namespace {

Interval RangeOfType(Type type) {
  if (type.code == TypeCode::kUInt && type.bits == 64) return {0, INT64_MAX};
  return {LowestInteger(type), HighestInteger(type)};
}

class Bounder {
 public:
  explicit Bounder(RangeOfVar range_of) : range_of_(range_of) {}

  std::optional<Interval> Bound(const Expr& e) {
    if (!e.type().is_integer()) return std::nullopt;
    const auto range = e.type().is_bool() ? BoundBool(e) : BoundInteger(e);
    if (!range) return std::nullopt;
    const auto allowed = RangeOfType(e.type());
    if (range->min < allowed.min || range->max > allowed.max) return std::nullopt;
    return range;
  }

 private:
  // A sum: every atom once, so that what cancels does not widen the result.
  struct Sum {
    struct Term {
      const ExprNode* atom;
      int64_t scale;
      Interval range;
    };
    absl::InlinedVector<Term, 8> terms;
    WideInterval rest;

    bool Add(const ExprNode* atom, int64_t scale, const Interval& range) {
      for (Term& term : terms) {
        if (term.atom == atom) return !__builtin_add_overflow(term.scale, scale, &term.scale);
      }
      terms.push_back({atom, scale, range});
      return true;
    }
  };

  std::optional<Interval> BoundInteger(const Expr& e) {
    Sum sum;
    if (!Collect(e, 1, sum)) return std::nullopt;
    for (const Sum::Term& term : sum.terms) sum.rest.AddScaled(term.range, term.scale);
    return sum.rest.Narrow();
  }

  // False if a part has no bound.
  bool Collect(const Expr& e, int64_t scale, Sum& sum) {
    if (const auto* imm = e.As<IntImm>()) {
      sum.rest.AddScaled({imm->value, imm->value}, scale);
      return true;
    }
    if (const auto* broadcast = e.As<Broadcast>()) return Collect(broadcast->value, scale, sum);
    if (const auto* ramp = e.As<Ramp>()) {
      int64_t step;
      if (__builtin_mul_overflow(scale, ramp->stride, &step)) return false;
      sum.rest.AddScaled({0, ramp->type.lanes - 1}, step);
      return Collect(ramp->base, scale, sum);
    }
    if (const auto* node = e.As<Binary>()) {
      if (node->op == BinaryOp::kAdd) {
        return Collect(node->a, scale, sum) && Collect(node->b, scale, sum);
      }
      if (node->op == BinaryOp::kSub) {
        return scale != INT64_MIN && Collect(node->a, scale, sum) && Collect(node->b, -scale, sum);
      }
      if (node->op == BinaryOp::kMul) {
        for (const auto& [x, y] : {std::pair(&node->a, &node->b), std::pair(&node->b, &node->a)}) {
          int64_t product;
          const int64_t* factor = AsConstInt(*y);
          if (!factor) continue;
          return !__builtin_mul_overflow(scale, *factor, &product) && Collect(*x, product, sum);
        }
      }
    }
    const auto range = BoundAtom(e);
    return range && sum.Add(e.get(), scale, *range);
  }

  std::optional<Interval> BoundAtom(const Expr& e) {
    switch (e->kind) {
      case ExprKind::kVar:
        return range_of_(e.As<Var>());
      case ExprKind::kSelect: {
        const auto a = Bound(e.As<Select>()->if_true), b = Bound(e.As<Select>()->if_false);
        if (!a || !b) return std::nullopt;
        return JoinIntervals(*a, *b);
      }
      case ExprKind::kCast: {
        const auto& cast = *e.As<Cast>();
        const auto range = Bound(cast.value);
        const auto allowed = RangeOfType(cast.type);
        if (!range) return std::nullopt;
        if (range->min >= allowed.min && range->max <= allowed.max) return range;
        if (!cast.saturate) return std::nullopt;
        return Interval{std::clamp(range->min, allowed.min, allowed.max),
                        std::clamp(range->max, allowed.min, allowed.max)};
      }
      case ExprKind::kBinary:
        return BoundBinary(*e.As<Binary>());
      default:
        return std::nullopt;
    }
  }

  std::optional<Interval> BoundBinary(const Binary& node) {
    const auto a = Bound(node.a), b = Bound(node.b);
    // A remainder has the divisor's range, whatever is divided.
    if (!a && b && node.op == BinaryOp::kMod && b->min > 0) return Interval{0, b->max - 1};
    if (!a || !b) return std::nullopt;
    const bool constant = b->min == b->max;
    switch (node.op) {
      case BinaryOp::kMul:
        return MultiplyIntervals(*a, *b);
      case BinaryOp::kDiv:
        return DivideIntervals(*a, *b);
      case BinaryOp::kMod:
        if (constant && b->min > 0) return ModuloInterval(*a, b->min);
        if (b->min > 0) return Interval{0, b->max - 1};
        return std::nullopt;
      case BinaryOp::kMin:
        return MinIntervals(*a, *b);
      case BinaryOp::kMax:
        return MaxIntervals(*a, *b);
      case BinaryOp::kSatAdd:
      case BinaryOp::kSatSub: {
        const Type type = node.type.Element();
        if (type.bits == 64) return std::nullopt;
        const bool add = node.op == BinaryOp::kSatAdd;
        return Interval{
            add ? SaturatingAdd(type, a->min, b->min) : SaturatingSub(type, a->min, b->max),
            add ? SaturatingAdd(type, a->max, b->max) : SaturatingSub(type, a->max, b->min)};
      }
      case BinaryOp::kShiftLeft:
        if (!constant || b->min < 0 || b->min > 62) return std::nullopt;
        return MultiplyIntervals(*a, {int64_t{1} << b->min, int64_t{1} << b->min});
      case BinaryOp::kShiftRight:
        if (!constant || b->min < 0 || b->min > 62) return std::nullopt;
        return Interval{a->min >> b->min, a->max >> b->min};
      case BinaryOp::kBitAnd:
        if (a->min < 0 || b->min < 0) return std::nullopt;
        return Interval{0, std::min(a->max, b->max)};
      default:
        return std::nullopt;
    }
  }

  std::optional<Interval> BoundBool(const Expr& e) {
    if (const int64_t* value = AsConstInt(e)) return Interval{*value, *value};
    const auto* node = e.As<Binary>();
    const bool order = node && (node->op == BinaryOp::kLt || node->op == BinaryOp::kLe);
    if (order && node->a.type().is_integer()) {
      const auto a = Bound(node->a), b = Bound(node->b);
      const int64_t slack = node->op == BinaryOp::kLe;
      if (a && b && b->max < INT64_MAX && b->min < INT64_MAX) {
        if (a->max < b->min + slack) return Interval{1, 1};
        if (a->min >= b->max + slack) return Interval{0, 0};
      }
    }
    return Interval{0, 1};
  }

  RangeOfVar range_of_;
};

}  // namespace

std::optional<Interval> BoundWith(const Expr& e, RangeOfVar range_of) {
  return Bounder(range_of).Bound(e);
}

std::optional<Interval> Bound(const Expr& e, const Ranges& ranges) {
  return BoundWith(e, [&ranges](const Var* var) -> std::optional<Interval> {
    const auto it = ranges.find(var);
    if (it == ranges.end()) return std::nullopt;
    return it->second;
  });
}

}  // namespace tessera::ir
