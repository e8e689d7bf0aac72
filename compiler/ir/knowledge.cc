#include <limits>

#include "compiler/ir/numeric.h"
#include "compiler/ir/rewriter.h"

namespace tessera::ir {
namespace {

// The factor s with `sum` = s × fact + something without the fact's atoms' shares, or 0.
int64_t FactorOf(const Affine& fact, const Affine& sum) {
  int64_t factor = 0;
  const auto agree = [&factor](int64_t part, int64_t whole) {
    if (whole == 0 || whole % part != 0 || (part == -1 && whole == INT64_MIN)) return false;
    if (factor == 0) factor = whole / part;
    return factor == whole / part;
  };
  if (fact.terms.size() > sum.terms.size()) return 0;
  if (fact.lane_stride != 0) {
    if (fact.lanes != sum.lanes || !agree(fact.lane_stride, sum.lane_stride)) return 0;
  }
  for (const Affine::Term& part : fact.terms) {
    bool found = false;
    for (const Affine::Term& whole : sum.terms) {
      if (!SameTree(part.atom, whole.atom)) continue;
      if (!agree(part.coefficient, whole.coefficient)) return 0;
      found = true;
      break;
    }
    if (!found) return 0;
  }
  return factor;
}

Interval Intersect(const Interval& a, const Interval& b) {
  return {std::max(a.min, b.min), std::min(a.max, b.max)};
}

__int128 FloorDivide(__int128 a, __int128 b) {
  const __int128 q = a / b;
  return q - (a % b != 0 && ((a % b < 0) != (b < 0)));
}

}  // namespace

void Knowledge::Rewind(size_t mark) {
  while (undo_.size() > mark) {
    const Undo& undo = undo_.back();
    if (undo.var == nullptr) {
      facts_.pop_back();
    } else if (undo.before) {
      vars_[undo.var] = *undo.before;
    } else {
      vars_.erase(undo.var);
    }
    undo_.pop_back();
  }
}

void Knowledge::Bind(const Var* var, const Interval& range, int ordinal) {
  const auto [it, fresh] = vars_.try_emplace(var);
  undo_.push_back({var, fresh ? std::nullopt : std::optional<VarInfo>(it->second)});
  it->second = {range, ordinal};
}

std::optional<Interval> Knowledge::RangeOf(const Var* var) const {
  if (const auto it = vars_.find(var); it != vars_.end()) return it->second.range;
  if (base_ == nullptr) return std::nullopt;
  const auto it = base_->find(var);
  if (it == base_->end()) return std::nullopt;
  return it->second;
}

int Knowledge::OrdinalOf(const Var* var) const {
  const auto it = vars_.find(var);
  return it == vars_.end() ? -1 : it->second.ordinal;
}

std::optional<Interval> Knowledge::RangeOf(const Affine& sum) const {
  const std::optional<Interval> plain = sum.Range();
  if (!plain || facts_.empty()) return plain;
  // Facts replace their share of the sum, newest first; what remains is bounded plainly.
  Affine rest = sum;
  WideInterval range;
  bool used = false;
  for (auto fact = facts_.rbegin(); fact != facts_.rend(); ++fact) {
    const int64_t factor = FactorOf(fact->sum, rest);
    if (factor == 0 || factor == INT64_MIN) continue;
    rest.AddScaled(fact->sum, -factor);
    rest.DropZeros();
    range.AddScaled(fact->range, factor);
    used = true;
  }
  if (!used) return plain;
  const std::optional<Interval> remaining = rest.Range();
  if (!remaining) return plain;
  range.AddScaled(*remaining, 1);
  const std::optional<Interval> narrow = range.Narrow();
  return narrow ? Intersect(*plain, *narrow) : plain;
}

bool Knowledge::Narrow(const Var* var, __int128 low, __int128 high) {
  const std::optional<Interval> before = RangeOf(var);
  if (!before) return true;
  Interval after = *before;
  if (low > after.min) {
    if (low > after.max) return false;
    after.min = static_cast<int64_t>(low);
  }
  if (high < after.max) {
    if (high < after.min) return false;
    after.max = static_cast<int64_t>(high);
  }
  if (after != *before) Bind(var, after, OrdinalOf(var));
  return true;
}

bool Knowledge::Assume(const Affine& sum, __int128 low, __int128 high) {
  const std::optional<Interval> plain = RangeOf(sum);
  if (!plain) return true;
  if (low > plain->max || high < plain->min) return false;
  const Interval range{static_cast<int64_t>(std::max<__int128>(low, plain->min)),
                       static_cast<int64_t>(std::min<__int128>(high, plain->max))};
  // Each variable lies where the others' extremes leave it.
  for (const Affine::Term& term : sum.terms) {
    const auto* var = term.atom.As<Var>();
    if (var == nullptr) continue;
    WideInterval others;
    for (const Affine::Term& other : sum.terms) {
      if (&other != &term) others.AddScaled(*other.range, other.coefficient);
    }
    if (sum.lane_stride != 0) others.AddScaled({0, sum.lanes - 1}, sum.lane_stride);
    others.AddConstant(sum.constant);
    if (others.huge) continue;
    // low' <= coefficient × var <= high'
    const __int128 least = range.min - others.max, most = range.max - others.min;
    const __int128 c = term.coefficient;
    const bool ok = c > 0 ? Narrow(var, -FloorDivide(-least, c), FloorDivide(most, c))
                          : Narrow(var, -FloorDivide(-most, c), FloorDivide(least, c));
    if (!ok) return false;
  }
  const bool lone_variable =
      sum.terms.size() == 1 && sum.lane_stride == 0 && sum.terms[0].atom.As<Var>();
  if (sum.IsConstant() || lone_variable) return true;
  Fact fact{sum, range};
  fact.sum.constant = 0;
  const int64_t divisor = fact.sum.CommonDivisor(0);
  for (Affine::Term& term : fact.sum.terms) term.coefficient /= divisor;
  fact.sum.lane_stride /= divisor;
  const __int128 c = sum.constant;
  const __int128 least = -FloorDivide(-(range.min - c), divisor);
  const __int128 most = FloorDivide(range.max - c, divisor);
  if (least > most) return false;
  if (least < INT64_MIN || most > INT64_MAX) return true;
  fact.range = {static_cast<int64_t>(least), static_cast<int64_t>(most)};
  facts_.push_back(std::move(fact));
  undo_.push_back({nullptr, std::nullopt});
  return true;
}

}  // namespace tessera::ir
