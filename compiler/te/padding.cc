#include "compiler/te/padding.h"

#include <utility>

#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"

namespace tessera::te {
namespace {

void Append(std::vector<ir::Expr>& to, std::vector<ir::Expr> from) {
  for (ir::Expr& condition : from) to.push_back(std::move(condition));
}

}  // namespace

LifeFinder::LifeFinder(const Dag& dag) {
  for (const Stage& stage : dag.stages) {
    if (!stage.is_reduction()) stages_[stage.output().get()] = &stage;
  }
}

std::vector<ir::Expr> LifeFinder::Conditions(const ir::Expr& e, double value) {
  if (--steps_left_ < 0) return {};
  if (const auto* cast = e.As<ir::Cast>()) {
    return value == 0 ? Conditions(cast->value, value) : std::vector<ir::Expr>{};
  }
  if (const ir::Expr* number = ir::AsTf32(e)) {
    return value == 0 ? Conditions(*number, value) : std::vector<ir::Expr>{};
  }
  if (const auto* select = e.As<ir::Select>()) {
    if (!ir::IsConst(select->if_false, value)) return {};
    std::vector<ir::Expr> result = Conjuncts(select->condition);
    Append(result, Conditions(select->if_true, value));
    return result;
  }
  if (const auto* binary = e.As<ir::Binary>(); binary && binary->op == ir::BinaryOp::kMul) {
    if (value != 0) return {};
    std::vector<ir::Expr> result = Conditions(binary->a, value);
    if (!binary->a.Same(binary->b)) Append(result, Conditions(binary->b, value));
    return result;
  }
  if (const auto* load = e.As<ir::Load>()) return ConditionsOfRead(*load, value);
  return {};
}

std::vector<ir::Expr> LifeFinder::ConditionsOfRead(const ir::Load& load, double value) {
  const auto found = stages_.find(load.buffer.get());
  if (found == stages_.end()) return {};
  const Stage& stage = *found->second;
  std::vector<ir::VarRef> axes;
  for (const Axis& axis : stage.axes) axes.push_back(axis.var);
  std::vector<ir::Expr> result;
  for (const ir::Expr& condition : Conditions(stage.bodies[0], value)) {
    result.push_back(ir::Substitute(condition, axes, load.indices));
  }
  return result;
}

std::vector<ir::Expr> Conjuncts(const ir::Expr& condition) {
  if (const auto* both = condition.As<ir::Binary>(); both && both->op == ir::BinaryOp::kAnd) {
    std::vector<ir::Expr> parts = Conjuncts(both->a);
    Append(parts, Conjuncts(both->b));
    return parts;
  }
  return {condition};
}

}  // namespace tessera::te
