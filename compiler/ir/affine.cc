#include "compiler/ir/affine.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

#include "compiler/ir/numeric.h"

namespace tessera::ir {
namespace {

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int CompareLists(const std::vector<Expr>& a, const std::vector<Expr>& b, OrdinalOfVar ordinal) {
  if (a.size() != b.size()) return Order(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (const int c = CompareExprs(a[i], b[i], ordinal)) return c;
  }
  return 0;
}

int CompareVars(const Var* a, const Var* b, OrdinalOfVar ordinal) {
  if (a == b) return 0;
  const int x = ordinal(a), y = ordinal(b);
  return x != y ? Order(x, y) : a->name.compare(b->name);
}

uint64_t Magnitude(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
}

}  // namespace

int CompareExprs(const Expr& a, const Expr& b, OrdinalOfVar ordinal) {
  if (a.Same(b)) return 0;
  if (!a || !b) return Order(static_cast<bool>(a), static_cast<bool>(b));
  const auto compare = [&](const Expr& x, const Expr& y) { return CompareExprs(x, y, ordinal); };
  // Variables first, then the rest in the node list's order.
  const auto rank = [](const Expr& e) {
    return e->kind == ExprKind::kVar ? -1 : static_cast<int>(e->kind);
  };
  if (a->kind != b->kind) return Order(rank(a), rank(b));
  if (const Type x = a.type(), y = b.type(); x != y) {
    return Order(std::tuple(x.lanes, x.code, x.bits), std::tuple(y.lanes, y.code, y.bits));
  }
  switch (a->kind) {
    case ExprKind::kIntImm:
      return Order(a.As<IntImm>()->value, b.As<IntImm>()->value);
    case ExprKind::kFloatImm:
      return Order(std::bit_cast<uint64_t>(a.As<FloatImm>()->value),
                   std::bit_cast<uint64_t>(b.As<FloatImm>()->value));
    case ExprKind::kVar:
      return CompareVars(a.As<Var>(), b.As<Var>(), ordinal);
    case ExprKind::kBinary: {
      const auto &x = *a.As<Binary>(), &y = *b.As<Binary>();
      if (x.op != y.op) return Order(x.op, y.op);
      if (const int c = compare(x.a, y.a)) return c;
      return compare(x.b, y.b);
    }
    case ExprKind::kNot:
      return compare(a.As<Not>()->a, b.As<Not>()->a);
    case ExprKind::kSelect: {
      const auto &x = *a.As<Select>(), &y = *b.As<Select>();
      if (const int c = compare(x.condition, y.condition)) return c;
      if (const int c = compare(x.if_true, y.if_true)) return c;
      return compare(x.if_false, y.if_false);
    }
    case ExprKind::kCast: {
      const auto &x = *a.As<Cast>(), &y = *b.As<Cast>();
      if (x.saturate != y.saturate) return Order(x.saturate, y.saturate);
      return compare(x.value, y.value);
    }
    case ExprKind::kLoad: {
      const auto &x = *a.As<Load>(), &y = *b.As<Load>();
      if (x.buffer != y.buffer) {
        if (const int c = x.buffer->name.compare(y.buffer->name)) return c;
      }
      if (const int c = CompareLists(x.indices, y.indices, ordinal)) return c;
      return compare(x.predicate, y.predicate);
    }
    case ExprKind::kRamp: {
      const auto &x = *a.As<Ramp>(), &y = *b.As<Ramp>();
      if (x.stride != y.stride) return Order(x.stride, y.stride);
      return compare(x.base, y.base);
    }
    case ExprKind::kBroadcast:
      return compare(a.As<Broadcast>()->value, b.As<Broadcast>()->value);
    case ExprKind::kCall: {
      const auto &x = *a.As<Call>(), &y = *b.As<Call>();
      if (const int c = x.name.compare(y.name)) return c;
      return CompareLists(x.args, y.args, ordinal);
    }
  }
  return 0;
}

bool SameTree(const Expr& a, const Expr& b) {
  if (a.Same(b)) return true;
  if (!a || !b || a->kind != b->kind || a.type() != b.type()) return false;
  const auto same_lists = [](const std::vector<Expr>& x, const std::vector<Expr>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), SameTree);
  };
  switch (a->kind) {
    case ExprKind::kIntImm:
      return a.As<IntImm>()->value == b.As<IntImm>()->value;
    case ExprKind::kFloatImm:
      return std::bit_cast<uint64_t>(a.As<FloatImm>()->value) ==
             std::bit_cast<uint64_t>(b.As<FloatImm>()->value);
    case ExprKind::kVar:
      return false;
    case ExprKind::kBinary: {
      const auto &x = *a.As<Binary>(), &y = *b.As<Binary>();
      return x.op == y.op && SameTree(x.a, y.a) && SameTree(x.b, y.b);
    }
    case ExprKind::kNot:
      return SameTree(a.As<Not>()->a, b.As<Not>()->a);
    case ExprKind::kSelect: {
      const auto &x = *a.As<Select>(), &y = *b.As<Select>();
      return SameTree(x.condition, y.condition) && SameTree(x.if_true, y.if_true) &&
             SameTree(x.if_false, y.if_false);
    }
    case ExprKind::kCast: {
      const auto &x = *a.As<Cast>(), &y = *b.As<Cast>();
      return x.saturate == y.saturate && SameTree(x.value, y.value);
    }
    case ExprKind::kLoad: {
      const auto &x = *a.As<Load>(), &y = *b.As<Load>();
      return x.buffer == y.buffer && same_lists(x.indices, y.indices) &&
             SameTree(x.predicate, y.predicate);
    }
    case ExprKind::kRamp: {
      const auto &x = *a.As<Ramp>(), &y = *b.As<Ramp>();
      return x.stride == y.stride && SameTree(x.base, y.base);
    }
    case ExprKind::kBroadcast:
      return SameTree(a.As<Broadcast>()->value, b.As<Broadcast>()->value);
    case ExprKind::kCall: {
      const auto &x = *a.As<Call>(), &y = *b.As<Call>();
      return x.name == y.name && same_lists(x.args, y.args);
    }
  }
  return false;
}

bool Affine::IsUniform() const {
  return lane_stride == 0 && std::none_of(terms.begin(), terms.end(), [](const Term& term) {
           return term.atom.type().is_vector();
         });
}

void Affine::Add(const Expr& atom, int64_t coefficient, const std::optional<Interval>& range) {
  // Atoms other than variables are compared as trees, so only in sums of index size.
  constexpr size_t kCompareTrees = 32;
  const bool trees = terms.size() <= kCompareTrees && atom->kind != ExprKind::kVar;
  for (Term& term : terms) {
    if (term.atom.Same(atom) || (trees && SameTree(term.atom, atom))) {
      term.coefficient = WrappingAdd(term.coefficient, coefficient);
      return;
    }
  }
  terms.push_back({atom, coefficient, range});
}

void Affine::AddScaled(const Affine& other, int64_t scale) {
  for (const Term& term : other.terms) {
    Add(term.atom, WrappingMul(term.coefficient, scale), term.range);
  }
  lane_stride = WrappingAdd(lane_stride, WrappingMul(other.lane_stride, scale));
  constant = WrappingAdd(constant, WrappingMul(other.constant, scale));
  lanes = std::max(lanes, other.lanes);
}

void Affine::Scale(int64_t factor) {
  for (Term& term : terms) term.coefficient = WrappingMul(term.coefficient, factor);
  lane_stride = WrappingMul(lane_stride, factor);
  constant = WrappingMul(constant, factor);
  DropZeros();
}

void Affine::DropZeros() {
  terms.erase(std::remove_if(terms.begin(), terms.end(),
                             [](const Term& term) { return term.coefficient == 0; }),
              terms.end());
}

std::optional<Interval> Affine::Range() const {
  WideInterval sum;
  for (const Term& term : terms) {
    if (!term.range) return std::nullopt;
    sum.AddScaled(*term.range, term.coefficient);
  }
  if (lane_stride != 0) sum.AddScaled({0, lanes - 1}, lane_stride);
  sum.AddConstant(constant);
  return sum.Narrow();
}

int64_t Affine::CommonDivisor(int64_t start) const {
  uint64_t divisor = Magnitude(start);
  for (const Term& term : terms) divisor = std::gcd(divisor, Magnitude(term.coefficient));
  divisor = std::gcd(divisor, Magnitude(lane_stride));
  // 2^63 has no positive int64: its half divides as well.
  return static_cast<int64_t>(divisor > uint64_t{INT64_MAX} ? divisor / 2 : divisor);
}

void Affine::Sort(OrdinalOfVar ordinal) {
  const auto before = [&](const Term& a, const Term& b) {
    const uint64_t x = Magnitude(a.coefficient), y = Magnitude(b.coefficient);
    return x != y ? x > y : CompareExprs(a.atom, b.atom, ordinal) < 0;
  };
  if (std::is_sorted(terms.begin(), terms.end(), before)) return;
  // Equal terms keep their order.
  absl::InlinedVector<size_t, 8> order(terms.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) {
    if (before(terms[i], terms[j])) return true;
    return !before(terms[j], terms[i]) && i < j;
  });
  absl::InlinedVector<Term, 4> sorted;
  sorted.reserve(terms.size());
  for (const size_t i : order) sorted.push_back(std::move(terms[i]));
  terms = std::move(sorted);
}

namespace {

// Sums `terms` of one width onto `constant`: positive ones first where the first is negative, so
// that "8 - x" and not "x * -1 + 8" is written.
Expr BuildSum(absl::InlinedVector<const Affine::Term*, 8> terms, Expr constant) {
  const bool has_constant = constant && !IsConst(constant, 0);
  const auto positive = std::find_if(terms.begin(), terms.end(),
                                     [](const auto* term) { return term->coefficient > 0; });
  if (positive != terms.end()) std::rotate(terms.begin(), positive, positive + 1);
  const int64_t* number = has_constant ? AsConstInt(constant) : nullptr;
  Expr sum;
  bool constant_used = !has_constant;
  if (!terms.empty() && terms[0]->coefficient < 0 && number && *number > 0) {
    sum = constant;
    constant_used = true;
  }
  for (const Affine::Term* term : terms) {
    const int64_t c = term->coefficient;
    const bool subtract = sum && c < 0 && c != INT64_MIN;
    const int64_t factor = subtract ? -c : c;
    Expr product = factor == 1 ? term->atom : term->atom * MakeInt(term->atom.type(), factor);
    sum = !sum ? product : subtract ? sum - product : sum + product;
  }
  if (constant_used) return sum;
  if (!sum) return constant;
  if (number && *number < 0 && *number != INT64_MIN) {
    return sum - MakeInt(constant.type(), -*number);
  }
  return sum + constant;
}

}  // namespace

Expr Affine::Build() const {
  absl::InlinedVector<const Term*, 8> scalars, vectors;
  for (const Term& term : terms)
    (term.atom.type().is_vector() ? vectors : scalars).push_back(&term);
  Expr scalar = BuildSum(std::move(scalars), Expr(constant));
  if (!scalar) scalar = Expr(constant);
  if (lanes == 1) return scalar;
  Expr vector = lane_stride != 0 ? MakeRamp(std::move(scalar), lane_stride, lanes)
                                 : MakeBroadcast(std::move(scalar), lanes);
  if (vectors.empty()) return vector;
  return BuildSum(std::move(vectors), std::move(vector));
}

}  // namespace tessera::ir
