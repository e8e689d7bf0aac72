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

// sum of coefficients × variables + constant, which has to be >= 0, or with modulus > 0 congruent
// to 0.
struct Constraint {
  std::vector<int64_t> coefficients;  // one per axis
  int64_t constant = 0;
  int64_t modulus = 0;
};

std::optional<Constraint> Linear(const std::vector<Axis>& axes, const ir::Expr& e) {
  const std::optional<ir::LinearForm> form = ir::AsLinear(e);
  if (!form) return std::nullopt;
  Constraint constraint{.coefficients = std::vector<int64_t>(axes.size()),
                        .constant = form->constant};
  for (const auto& [var, coefficient] : form->terms) {
    const auto axis = std::ranges::find(axes, var, &Axis::var);
    if (axis == axes.end()) return std::nullopt;
    constraint.coefficients[axis - axes.begin()] = coefficient;
  }
  return constraint;
}

// Appends what `condition` says to `constraints`, if it is of a known form.
void AddConstraints(const std::vector<Axis>& axes, const ir::Expr& condition,
                    std::vector<Constraint>& constraints) {
  const auto* compare = condition.As<ir::Binary>();
  if (compare == nullptr || compare->a.type() != ir::Index()) return;
  const auto add = [&](const ir::Expr& difference, int64_t offset) {
    if (std::optional<Constraint> constraint = Linear(axes, difference)) {
      constraint->constant += offset;
      constraints.push_back(std::move(*constraint));
    }
  };
  switch (compare->op) {
    case ir::BinaryOp::kLe:
      return add(compare->b - compare->a, 0);
    case ir::BinaryOp::kLt:
      return add(compare->b - compare->a, -1);
    case ir::BinaryOp::kEq:
      break;
    default:
      return;
  }
  const auto* modulo = compare->a.As<ir::Binary>();
  const int64_t* rest = ir::AsConstInt(compare->b);
  if (modulo == nullptr || modulo->op != ir::BinaryOp::kMod) {
    add(compare->a - compare->b, 0);
    return add(compare->b - compare->a, 0);
  }
  const int64_t* modulus = ir::AsConstInt(modulo->b);
  if (rest == nullptr || modulus == nullptr || *modulus < 1 || *modulus > kMaxPeriod) return;
  if (std::optional<Constraint> constraint = Linear(axes, modulo->a)) {
    constraint->constant -= *rest;
    constraint->modulus = *modulus;
    constraints.push_back(std::move(*constraint));
  }
}

// Counts values of one group of axes that meet the group's constraints.
class GroupCounter {
 public:
  GroupCounter(const std::vector<Axis>& axes, std::vector<int> group,
               std::vector<const Constraint*> constraints)
      : axes_(axes), constraints_(std::move(constraints)) {
    solved_ = *std::ranges::max_element(group, {}, [&](int axis) { return axes[axis].extent; });
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
    if (period_ > kMaxPeriod) return false;
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
  int64_t Solve(const std::vector<int64_t>& at) const {
    Wide low = 0, high = axes_[solved_].extent - 1;
    std::vector<std::pair<const Constraint*, Wide>> periodic;
    for (const Constraint* constraint : constraints_) {
      Wide rest = constraint->constant;
      for (size_t i = 0; i < at.size(); ++i) {
        rest += Wide{constraint->coefficients[enumerated_[i]]} * at[i];
      }
      const int64_t coefficient = constraint->coefficients[solved_];
      if (constraint->modulus > 0) {
        periodic.emplace_back(constraint, rest);
      } else if (coefficient > 0) {
        low = std::max(low, -FloorDivide(rest, coefficient));
      } else if (coefficient < 0) {
        high = std::min(high, FloorDivide(rest, -Wide{coefficient}));
      } else if (rest < 0) {
        return 0;
      }
    }
    if (low > high) return 0;
    const Wide length = high - low + 1;
    if (periodic.empty()) return static_cast<int64_t>(length);
    const Wide whole = length / period_, partial = length % period_;
    Wide count = 0;
    for (Wide i = 0; i < std::min<Wide>(period_, length); ++i) {
      const bool met = std::ranges::all_of(periodic, [&](const auto& entry) {
        const auto& [constraint, rest] = entry;
        const Wide value = Wide{constraint->coefficients[solved_]} * (low + i) + rest;
        return FloorModulo(value, constraint->modulus) == 0;
      });
      if (met) count += whole + (i < partial ? 1 : 0);
    }
    return static_cast<int64_t>(count);
  }

  const std::vector<Axis>& axes_;
  std::vector<const Constraint*> constraints_;
  std::vector<int> enumerated_;
  int solved_ = 0;
  int64_t period_ = 1;
};

}  // namespace

int64_t CountPoints(const std::vector<Axis>& axes, const std::vector<ir::Expr>& conditions) {
  std::vector<Constraint> constraints;
  for (const ir::Expr& condition : conditions) {
    if (const int64_t* known = ir::AsConstInt(condition); known != nullptr && *known == 0) return 0;
    AddConstraints(axes, condition, constraints);
  }
  // Constraints that always hold join nothing.
  std::erase_if(constraints, [&](const Constraint& constraint) {
    Wide least = constraint.constant;
    for (size_t i = 0; i < axes.size(); ++i) {
      least += std::min<Wide>(0, Wide{constraint.coefficients[i]} * (axes[i].extent - 1));
    }
    return constraint.modulus == 0 ? least >= 0 : constraint.modulus == 1;
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
      if (constraint.coefficients[i] == 0) continue;
      if (first < 0) first = find(static_cast<int>(i));
      root[find(static_cast<int>(i))] = first;
    }
    const bool holds = constraint.modulus > 0
                           ? FloorModulo(constraint.constant, constraint.modulus) == 0
                           : constraint.constant >= 0;
    if (first < 0 && !holds) return 0;
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
      if (std::ranges::any_of(group, [&](int a) { return constraint.coefficients[a] != 0; })) {
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
