#include "compiler/schedule/tensorize.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/visitor.h"

namespace tessera::schedule {
namespace {

using Indices = std::vector<ir::Expr>;

// The dimension of `load` that is `var` alone, if `var` is in no other.
std::optional<size_t> PlaceOf(const ir::Load& load, const ir::VarRef& var) {
  std::optional<size_t> place;
  for (size_t d = 0; d < load.indices.size(); ++d) {
    if (!ir::Uses(load.indices[d], var)) continue;
    if (place || load.indices[d].As<ir::Var>() != var.get()) return std::nullopt;
    place = d;
  }
  return place;
}

bool Moves(const te::Axis& axis, const ir::Load& load) {
  return std::any_of(load.indices.begin(), load.indices.end(),
                     [&](const ir::Expr& index) { return ir::Uses(index, axis.var); });
}

bool IsConstant(const ir::Load& load, const std::vector<te::Input>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const te::Input& input) {
    return input.is_constant && input.buffer == load.buffer;
  });
}

// How operands are taken, and the reduction axis that is cut into groups.
struct Plan {
  const ir::Load *a, *b;
  te::Conversion convert_a, convert_b;
  size_t axis, place_a, place_b;
};

absl::StatusOr<Plan> MakePlan(const te::Stage& sum, const te::Instruction& instruction,
                              const std::vector<te::Input>& inputs) {
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(
        why, "; ", instruction.name, " sums groups of ", instruction.group, " products ",
        ir::ToString(instruction.operand_type(0)), " * ", ir::ToString(instruction.operand_type(1)),
        " of two tensors in ", ir::ToString(instruction.stage().output()->type)));
  };
  if (sum.combiner != te::Combiner::kSum || sum.outputs.size() != 1) {
    return refuse("is no sum");
  }
  if (sum.output()->type != instruction.stage().output()->type) {
    return refuse(absl::StrCat("is of type ", ir::ToString(sum.output()->type)));
  }
  std::optional<Plan> best;
  for (const te::Operands& operands : te::Unify(instruction, sum.bodies[0], /*convert=*/true)) {
    Plan plan{operands.a.As<ir::Load>(), operands.b.As<ir::Load>(), {}, {}, 0, 0, 0};
    if (plan.a == nullptr || plan.b == nullptr || plan.a->buffer == plan.b->buffer) continue;
    plan.convert_a = *te::ConversionTo(instruction.operand_type(0), plan.a->buffer->type);
    plan.convert_b = *te::ConversionTo(instruction.operand_type(1), plan.b->buffer->type);
    if (plan.convert_b == te::Conversion::kOffset) continue;  // no correction of that is made
    int64_t longest = 0;
    for (size_t r = 0; r < sum.reduce_axes.size(); ++r) {
      const te::Axis& axis = sum.reduce_axes[r];
      const auto place_a = PlaceOf(*plan.a, axis.var), place_b = PlaceOf(*plan.b, axis.var);
      if (!place_a || !place_b || axis.extent <= longest) continue;
      longest = axis.extent;
      plan.axis = r;
      plan.place_a = *place_a;
      plan.place_b = *place_b;
    }
    if (longest < 2) continue;
    // What A's offset adds is best known before the run.
    if (!best || (!IsConstant(*best->b, inputs) && IsConstant(*plan.b, inputs))) best = plan;
  }
  if (!best) return refuse("is no such sum along an axis that both read on its own");
  return *best;
}

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// A copy of what `load` reads, whole, in the operand's type.
te::Stage OperandStage(const std::string& name, const ir::Load& load, size_t place, ir::Type type,
                       te::Conversion conversion, int group) {
  std::vector<int64_t> shape = load.buffer->shape;
  const int64_t known = shape[place];
  shape[place] = RoundUp(known, group);
  te::Stage stage;
  Indices at;
  for (size_t d = 0; d < shape.size(); ++d) {
    stage.axes.push_back({ir::MakeVar(absl::StrCat("d", d)), shape[d]});
    at.push_back(stage.axes.back().var);
  }
  ir::Expr value = ir::MakeLoad(load.buffer, at);
  if (conversion != te::Conversion::kNone) value = ir::MakeCast(type, value);
  if (conversion == te::Conversion::kOffset) {
    value = ir::MakeBinary(ir::BinaryOp::kBitXor, value, ir::MakeInt(type, 128));
  }
  if (shape[place] > known) {
    value = ir::MakeSelect(ir::Lt(at[place], ir::Expr(known)), value, ir::Zero(type));
  }
  stage.outputs = {ir::MakeBuffer(name, type, std::move(shape), ir::Scope::kWorkspace)};
  stage.bodies = {value};
  return stage;
}

// The same axes with variables of their own, and `body` in those.
struct Renamed {
  std::vector<te::Axis> axes, reduce_axes;
  std::vector<ir::VarRef> old_vars;
  std::vector<ir::Expr> new_vars;

  explicit Renamed(const te::Stage& stage) {
    for (const te::Axis& axis : stage.axes) Add(axis, axes);
    for (const te::Axis& axis : stage.reduce_axes) Add(axis, reduce_axes);
  }
  ir::Expr In(const ir::Expr& e) const { return ir::Substitute(e, old_vars, new_vars); }

 private:
  void Add(const te::Axis& axis, std::vector<te::Axis>& to) {
    to.push_back({ir::MakeVar(axis.var->name), axis.extent});
    old_vars.push_back(axis.var);
    new_vars.push_back(to.back().var);
  }
};

// Σ −128 B over all that `sum` reduces, at each place of B's spatial axes.
te::Stage CorrectionStage(const std::string& name, const te::Stage& sum, const ir::Load& b) {
  const Renamed renamed(sum);
  te::Stage stage;
  std::vector<int64_t> shape;
  for (size_t a = 0; a < sum.axes.size(); ++a) {
    if (!Moves(sum.axes[a], b)) continue;
    stage.axes.push_back(renamed.axes[a]);
    shape.push_back(renamed.axes[a].extent);
  }
  stage.reduce_axes = renamed.reduce_axes;
  stage.combiner = te::Combiner::kSum;
  const ir::Type type = sum.output()->type;
  Indices at;
  for (const ir::Expr& index : b.indices) at.push_back(renamed.In(index));
  stage.bodies = {ir::MakeCast(type, ir::MakeLoad(b.buffer, at)) * ir::MakeInt(type, -128)};
  stage.outputs = {ir::MakeBuffer(name, type, std::move(shape), ir::Scope::kWorkspace)};
  return stage;
}

}  // namespace

absl::StatusOr<std::vector<te::Stage>> TensorStages(const te::Stage& sum,
                                                    const te::Instruction& instruction,
                                                    const std::vector<te::Input>& inputs) {
  TESSERA_ASSIGN_OR_RETURN(const Plan plan, MakePlan(sum, instruction, inputs));
  const std::string& name = sum.name();
  const int group = instruction.group;
  const ir::Type type = sum.output()->type;
  std::vector<te::Stage> stages;
  stages.push_back(OperandStage(name + ".a", *plan.a, plan.place_a, instruction.operand_type(0),
                                plan.convert_a, group));
  const ir::Buffer a = stages.back().output();
  stages.push_back(OperandStage(name + ".b", *plan.b, plan.place_b, instruction.operand_type(1),
                                plan.convert_b, group));
  const ir::Buffer b = stages.back().output();
  std::optional<te::Stage> correction;
  if (plan.convert_a == te::Conversion::kOffset) {
    correction = CorrectionStage(name + ".c", sum, *plan.b);
    if (correction->axes.empty()) {
      return absl::InvalidArgumentError("the second operand is the same at all places");
    }
    stages.push_back(*correction);
  }

  Renamed parts(sum);
  te::Axis& cut = parts.reduce_axes[plan.axis];
  cut.extent = RoundUp(cut.extent, group) / group;
  const te::Axis inner = te::MakeAxis(cut.var->name + "_g", group, {parts.axes, parts.reduce_axes});
  const ir::Expr index = ir::Expr(cut.var) * ir::Expr(group) + ir::Expr(inner.var);
  const auto operand = [&](const ir::Load& load, size_t place, const ir::Buffer& buffer) {
    Indices at;
    for (size_t d = 0; d < load.indices.size(); ++d) {
      at.push_back(d == place ? index : parts.In(load.indices[d]));
    }
    return ir::MakeCast(type, ir::MakeLoad(buffer, std::move(at)));
  };
  te::Stage dot;
  dot.combiner = te::Combiner::kSum;
  dot.axes = parts.axes;
  dot.reduce_axes = parts.reduce_axes;
  dot.reduce_axes.push_back(inner);
  dot.bodies = {operand(*plan.a, plan.place_a, a) * operand(*plan.b, plan.place_b, b)};
  dot.outputs = {ir::MakeBuffer(name + ".dot", type, sum.output()->shape, ir::Scope::kWorkspace)};

  te::Stage result;
  result.outputs = sum.outputs;
  Indices at, corrected;
  const Renamed last(sum);
  for (size_t d = 0; d < sum.axes.size(); ++d) {
    result.axes.push_back(last.axes[d]);
    at.push_back(last.axes[d].var);
    if (Moves(sum.axes[d], *plan.b)) corrected.push_back(last.axes[d].var);
  }
  ir::Expr value = ir::MakeLoad(dot.output(), at);
  if (correction) value = value + ir::MakeLoad(correction->output(), corrected);
  result.bodies = {value};
  stages.push_back(std::move(dot));
  stages.push_back(std::move(result));
  return stages;
}

}  // namespace tessera::schedule
