#include <cmath>
#include <limits>
#include <utility>

#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/count_points.h"
#include "compiler/te/dag.h"
#include "compiler/te/padding.h"
#include "compiler/te/saturating.h"

namespace tessera::te {
namespace {

bool CountsAsOperation(ir::BinaryOp op) {
  switch (op) {
    case ir::BinaryOp::kAdd:
    case ir::BinaryOp::kSub:
    case ir::BinaryOp::kMul:
    case ir::BinaryOp::kDiv:
    case ir::BinaryOp::kMod:
    case ir::BinaryOp::kMin:
    case ir::BinaryOp::kMax:
    case ir::BinaryOp::kSatAdd:
    case ir::BinaryOp::kSatSub:
      return true;
    default:
      return false;
  }
}

// What holds where a comparison of places doesn't; empty: it is no < or <=, or about values.
ir::Expr Opposite(const ir::Expr& condition) {
  const auto* binary = condition.As<ir::Binary>();
  if (binary == nullptr || ir::ReadsMemory(condition)) return {};
  if (binary->op == ir::BinaryOp::kLt) return ir::Le(binary->b, binary->a);
  if (binary->op == ir::BinaryOp::kLe) return ir::Lt(binary->b, binary->a);
  return {};
}

// `count` operations at each point that meets all conditions; negative counts take away.
struct Term {
  int64_t count;
  std::vector<ir::Expr> conditions;
};

class OperationCounter {
 public:
  explicit OperationCounter(const Dag& dag) : life_(dag) {}

  int64_t Count(const Stage& stage) {
    terms_.clear();
    for (const ir::Expr& body : stage.bodies) Walk(body, {}, 1);
    if (stage.is_reduction()) {
      const ir::Expr identity = Identity(stage.combiner, stage.output()->type);
      const auto* real = identity.As<ir::FloatImm>();
      const auto* whole = identity.As<ir::IntImm>();
      const double value = real != nullptr    ? real->value
                           : whole != nullptr ? static_cast<double>(whole->value)
                                              : std::numeric_limits<double>::quiet_NaN();
      Add(1, life_.Conditions(stage.bodies[0], value));
    }
    std::vector<Axis> axes = stage.axes;
    axes.insert(axes.end(), stage.reduce_axes.begin(), stage.reduce_axes.end());
    int64_t operations = 0;
    for (const Term& term : terms_) {
      const int64_t points = CountPoints(axes, term.conditions);
      operations = term.count > 0
                       ? SaturatingAdd(operations, SaturatingMultiply(term.count, points))
                       : operations - SaturatingMultiply(-term.count, points);
    }
    return operations;
  }

 private:
  using Conditions = std::vector<ir::Expr>;

  // Joins what meets the same conditions, which operations of one product do.
  void Add(int64_t count, const Conditions& conditions) {
    for (Term& term : terms_) {
      if (term.conditions.size() != conditions.size()) continue;
      bool same = true;
      for (size_t i = 0; i < conditions.size(); ++i) {
        same &= term.conditions[i].Same(conditions[i]);
      }
      if (!same) continue;
      term.count += count;
      return;
    }
    terms_.push_back({count, conditions});
  }

  void AddOperation(const ir::Expr& e, Conditions conditions, int64_t count) {
    // Values come from tensors; what is computed from axes alone is index arithmetic.
    const bool is_value = e.type().is_float() || ir::ReadsMemory(e);
    if (!is_value) return;
    for (ir::Expr& condition : life_.Conditions(e, 0)) {
      conditions.push_back(std::move(condition));
    }
    Add(count, conditions);
  }

  void Walk(const ir::Expr& e, const Conditions& conditions, int64_t count) {
    if (const auto* binary = e.As<ir::Binary>()) {
      if (CountsAsOperation(binary->op)) AddOperation(e, conditions, count);
      Walk(binary->a, conditions, count);
      Walk(binary->b, conditions, count);
    } else if (const auto* call = e.As<ir::Call>()) {
      if (ir::AsTf32(e) == nullptr) AddOperation(e, conditions, count);
      for (const ir::Expr& arg : call->args) Walk(arg, conditions, count);
    } else if (const auto* cast = e.As<ir::Cast>()) {
      Walk(cast->value, conditions, count);
    } else if (const auto* negation = e.As<ir::Not>()) {
      Walk(negation->a, conditions, count);
    } else if (const auto* select = e.As<ir::Select>()) {
      Walk(select->condition, conditions, count);
      Conditions held = conditions;
      for (ir::Expr& part : Conjuncts(select->condition)) held.push_back(std::move(part));
      Walk(select->if_true, held, count);
      if (const ir::Expr opposite = Opposite(select->condition)) {
        // Once only: walked twice, chains of selections would take 2^length steps.
        Conditions others = conditions;
        others.push_back(opposite);
        Walk(select->if_false, others, count);
      } else {
        Walk(select->if_false, conditions, count);
        Walk(select->if_false, held, -count);
      }
    }
  }

  LifeFinder life_;
  std::vector<Term> terms_;
};

}  // namespace

int64_t ExecutedOperations(const Dag& dag) {
  OperationCounter counter(dag);
  int64_t operations = 0;
  for (const Stage& stage : dag.stages) {
    operations = SaturatingAdd(operations, counter.Count(stage));
  }
  return operations;
}

}  // namespace tessera::te
