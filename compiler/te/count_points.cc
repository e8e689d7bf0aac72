#include "compiler/te/count_points.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "compiler/ir/simplify.h"
#include "compiler/te/saturating.h"

namespace tessera::te {
namespace {

using Wide = __int128;

constexpr int64_t kMaxSteps = int64_t{1} << 18;
constexpr int64_t kMaxPeriod = int64_t{1} << 12;

Wide FloorDivide(Wide a, Wide b) {
  const Wide quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}
Wide FloorModulo(Wide a, Wide b) { return a - FloorDivide(a, b) * b; }

// Σ coefficient × variable + constant.
struct Sum {
  std::vector<int64_t> coefficients;  // one per axis
  int64_t constant = 0;

  // With these values; 0 for the other variables.
  Wide At(const std::vector<int>& axes, const std::vector<int64_t>& values) const {
    Wide value = constant;
    for (size_t i = 0; i < axes.size(); ++i) value += Wide{coefficients[axes[i]]} * values[i];
    return value;
  }
};

// sum + factor × (dividend mod modulus), which has to be >= 0, or 0 if `equal`. Modulus 0: no
// remainder.
struct Constraint {
  Sum sum, dividend;
  int64_t modulus = 0;
  int64_t factor = 0;
  bool equal = false;

  bool Moves(int axis) const {
    return sum.coefficients[axis] != 0 || (modulus > 0 && dividend.coefficients[axis] != 0);
  }
};

std::optional<Sum> SumOf(const std::vector<Axis>& axes, const ir::LinearForm& form) {
  Sum sum{.coefficients = std::vector<int64_t>(axes.size()), .constant = form.constant};
  for (const auto& [var, coefficient] : form.terms) {
    const auto axis = std::ranges::find(axes, var, &Axis::var);
    if (axis == axes.end()) return std::nullopt;
    sum.coefficients[axis - axes.begin()] = coefficient;
  }
  return sum;
}

// The first remainder among the terms of `e`, and how often it is added: trees share nodes.
struct Remainder {
  const ir::Binary* node = nullptr;
  int64_t factor = 0;
};
void FindRemainder(const ir::Expr& e, int64_t sign, Remainder& found) {
  const auto* node = e.As<ir::Binary>();
  if (node == nullptr) return;
  if (node->op == ir::BinaryOp::kMod) {
    if (found.node == nullptr) found.node = node;
    if (found.node == node) found.factor += sign;
  }
  if (node->op != ir::BinaryOp::kAdd && node->op != ir::BinaryOp::kSub) return;
  FindRemainder(node->a, sign, found);
  FindRemainder(node->b, node->op == ir::BinaryOp::kSub ? -sign : sign, found);
}

// `e` with 0 in place of `node`.
ir::Expr Without(const ir::Expr& e, const ir::Binary* node) {
  const auto* here = e.As<ir::Binary>();
  if (here == node) return ir::Expr(0);
  if (here == nullptr || (here->op != ir::BinaryOp::kAdd && here->op != ir::BinaryOp::kSub)) {
    return e;
  }
  const ir::Expr a = Without(here->a, node), b = Without(here->b, node);
  return here->op == ir::BinaryOp::kAdd ? a + b : a - b;
}

// What `condition` says, if it is of a known form.
std::optional<Constraint> ConstraintOf(const std::vector<Axis>& axes, const ir::Expr& condition) {
  const auto* compare = condition.As<ir::Binary>();
  if (compare == nullptr || compare->a.type() != ir::Index()) return std::nullopt;
  const auto with_sum = [&](const std::optional<ir::LinearForm>& form, Constraint constraint) {
    const std::optional<Sum> sum = form ? SumOf(axes, *form) : std::nullopt;
    if (!sum) return std::optional<Constraint>();
    constraint.sum = *sum;
    return std::optional<Constraint>(std::move(constraint));
  };
  if (const auto plain = ir::AsNonNegative(condition)) return with_sum(plain, {});
  const bool equal = compare->op == ir::BinaryOp::kEq;
  if (!equal && compare->op != ir::BinaryOp::kLt && compare->op != ir::BinaryOp::kLe) {
    return std::nullopt;
  }
  Constraint constraint{.equal = equal};
  ir::Expr difference = compare->b - compare->a;
  Remainder found;
  FindRemainder(difference, 1, found);
  if (found.node != nullptr) {
    const int64_t* modulus = ir::AsConstInt(found.node->b);
    const auto dividend = ir::AsLinear(found.node->a);
    const std::optional<Sum> sum = dividend ? SumOf(axes, *dividend) : std::nullopt;
    if (modulus == nullptr || *modulus < 1 || *modulus > kMaxPeriod || !sum) return std::nullopt;
    if (found.factor != 0) {
      constraint.dividend = *sum;
      constraint.modulus = *modulus;
      constraint.factor = found.factor;
    }
    difference = Without(difference, found.node);
  }
  std::optional<Constraint> made = with_sum(ir::AsLinear(difference), std::move(constraint));
  if (made && compare->op == ir::BinaryOp::kLt &&
      __builtin_sub_overflow(made->sum.constant, 1, &made->sum.constant)) {
    return std::nullopt;
  }
  return made;
}

// Counts values of one group of axes that meet the group's constraints.
class GroupCounter {
 public:
  GroupCounter(const std::vector<Axis>& axes, std::vector<int> group,
               std::vector<const Constraint*> constraints)
      : axes_(axes), constraints_(std::move(constraints)) {
    // Sums beside remainders have to stay put while the solved variable runs.
    const auto solvable = [&](int axis) {
      return std::ranges::all_of(constraints_, [&](const Constraint* constraint) {
        return constraint->modulus == 0 || constraint->sum.coefficients[axis] == 0;
      });
    };
    for (int axis : group) {
      if (!solvable(axis)) continue;
      if (solved_ < 0 || axes[axis].extent > axes[solved_].extent) solved_ = axis;
    }
    for (int axis : group) {
      if (axis != solved_) enumerated_.push_back(axis);
    }
    for (const Constraint* constraint : constraints_) {
      if (constraint->modulus > 0) period_ = std::lcm(period_, constraint->modulus);
      if (period_ > kMaxPeriod) return;
    }
  }

  // Whether counting is cheap enough.
  bool Feasible() const {
    if (period_ > kMaxPeriod || solved_ < 0) return false;
    int64_t steps = period_;
    for (int axis : enumerated_) steps = SaturatingMultiply(steps, axes_[axis].extent);
    return steps <= kMaxSteps;
  }

  int64_t Count() const {
    std::vector<int64_t> at(enumerated_.size(), 0);
    int64_t total = 0;
    while (true) {
      total = SaturatingAdd(total, Solve(at));
      size_t d = at.size();
      while (d > 0 && ++at[d - 1] == axes_[enumerated_[d - 1]].extent) at[--d] = 0;
      if (d == 0) return total;
    }
  }

 private:
  struct Periodic {
    const Constraint* constraint;
    Wide sum, dividend;
  };

  int64_t Solve(const std::vector<int64_t>& at) const {
    Wide low = 0, high = axes_[solved_].extent - 1;
    std::vector<Periodic> periodic;
    for (const Constraint* constraint : constraints_) {
      const Wide rest = constraint->sum.At(enumerated_, at);
      const int64_t coefficient = constraint->sum.coefficients[solved_];
      if (constraint->modulus > 0) {
        periodic.push_back({constraint, rest, constraint->dividend.At(enumerated_, at)});
        continue;
      }
      if (coefficient == 0) {
        if (constraint->equal ? rest != 0 : rest < 0) return 0;
        continue;
      }
      if (coefficient > 0 || constraint->equal) {
        low = std::max(low, coefficient > 0 ? -FloorDivide(rest, coefficient)
                                            : -FloorDivide(-rest, -Wide{coefficient}));
      }
      if (coefficient < 0 || constraint->equal) {
        high = std::min(high, coefficient < 0 ? FloorDivide(rest, -Wide{coefficient})
                                              : FloorDivide(-rest, coefficient));
      }
    }
    if (low > high) return 0;
    const Wide length = high - low + 1;
    if (periodic.empty()) return static_cast<int64_t>(length);
    const Wide whole = length / period_, partial = length % period_;
    Wide count = 0;
    for (Wide i = 0; i < std::min<Wide>(period_, length); ++i) {
      const bool met = std::ranges::all_of(periodic, [&](const Periodic& entry) {
        const Constraint& constraint = *entry.constraint;
        const Wide dividend =
            Wide{constraint.dividend.coefficients[solved_]} * (low + i) + entry.dividend;
        const Wide value =
            entry.sum + constraint.factor * FloorModulo(dividend, constraint.modulus);
        return constraint.equal ? value == 0 : value >= 0;
      });
      if (met) count += whole + (i < partial ? 1 : 0);
    }
    return static_cast<int64_t>(count);
  }

  const std::vector<Axis>& axes_;
  std::vector<const Constraint*> constraints_;
  std::vector<int> enumerated_;
  int solved_ = -1;
  int64_t period_ = 1;
};

}  // namespace

int64_t CountPoints(const std::vector<Axis>& axes, const std::vector<ir::Expr>& conditions) {
  std::vector<Constraint> constraints;
  for (const ir::Expr& condition : conditions) {
    if (const int64_t* known = ir::AsConstInt(condition); known != nullptr && *known == 0) return 0;
    if (auto constraint = ConstraintOf(axes, condition)) constraints.push_back(*constraint);
  }
  // Constraints that always hold join nothing.
  std::erase_if(constraints, [&](const Constraint& constraint) {
    Wide least = constraint.sum.constant;
    for (size_t i = 0; i < axes.size(); ++i) {
      least += std::min<Wide>(0, Wide{constraint.sum.coefficients[i]} * (axes[i].extent - 1));
    }
    if (constraint.factor < 0) least += Wide{constraint.factor} * (constraint.modulus - 1);
    return !constraint.equal && least >= 0;
  });

  std::vector<int> root(axes.size());
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&](int axis) {
    while (root[axis] != axis) axis = root[axis];
    return axis;
  };
  for (const Constraint& constraint : constraints) {
    int first = -1;
    for (size_t i = 0; i < axes.size(); ++i) {
      if (!constraint.Moves(static_cast<int>(i))) continue;
      if (first < 0) first = find(static_cast<int>(i));
      root[find(static_cast<int>(i))] = first;
    }
    Wide value = constraint.sum.constant;
    if (constraint.modulus > 0) {
      value += constraint.factor * FloorModulo(constraint.dividend.constant, constraint.modulus);
    }
    if (first < 0 && (constraint.equal ? value != 0 : value < 0)) return 0;
  }

  int64_t points = 1;
  for (int r = 0; r < static_cast<int>(axes.size()); ++r) {
    if (find(r) != r) continue;
    std::vector<int> group;
    int64_t volume = 1;
    for (int axis = 0; axis < static_cast<int>(axes.size()); ++axis) {
      if (find(axis) != r) continue;
      group.push_back(axis);
      volume = SaturatingMultiply(volume, axes[axis].extent);
    }
    std::vector<const Constraint*> own;
    for (const Constraint& constraint : constraints) {
      if (std::ranges::any_of(group, [&](int a) { return constraint.Moves(a); })) {
        own.push_back(&constraint);
      }
    }
    if (!own.empty()) {
      const GroupCounter counter(axes, std::move(group), std::move(own));
      if (counter.Feasible()) volume = counter.Count();
    }
    points = SaturatingMultiply(points, volume);
  }
  return points;
}

}  // namespace tessera::te
