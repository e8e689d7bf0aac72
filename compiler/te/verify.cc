#include "compiler/ir/verify.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "compiler/ir/text_names.h"
#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/dag.h"
#include "compiler/te/names.h"
#include "compiler/te/reference.h"
#include "compiler/te/saturating.h"

namespace tessera::te {
namespace {

absl::Status Fault(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status CheckLayout(const ir::BufferNode& buffer) {
  if (buffer.layout.empty()) return absl::OkStatus();
  if (!ir::IndexIsStoredPosition(buffer)) {
    return Fault(absl::StrCat(buffer.name, ": the elements of its one dimension keep their order"));
  }
  int64_t stored = 1;
  for (const ir::LayoutDim& dim : buffer.layout) stored = SaturatingMultiply(stored, dim.extent);
  if (stored > 2 * kMaxElements) {
    return Fault(absl::StrCat(buffer.name, ": layout stores more than 2^41 elements"));
  }
  const auto parsed =
      ir::ParseLayout(ir::LayoutToString(buffer.layout, buffer.shape), buffer.shape);
  TESSERA_RETURN_IF_ERROR(Annotate(parsed.status(), absl::StrCat(buffer.name, ": layout")));
  if (ir::HasGaps(buffer.layout, buffer.shape)) {
    return Fault(absl::StrCat(buffer.name, ": a workload's layout has no gaps"));
  }
  return absl::OkStatus();
}

// Checks one expression of a stage.
class BodyChecker : public ir::Visitor {
 public:
  BodyChecker(const Stage& stage, const std::set<const ir::BufferNode*>& defined)
      : stage_(stage), defined_(defined) {
    for (const auto* axes : {&stage.axes, &stage.reduce_axes}) {
      for (const Axis& axis : *axes) vars_.insert(axis.var.get());
    }
  }

  absl::Status Check(const ir::Expr& body) {
    Visit(body);
    return status_;
  }

 protected:
  void VisitVar(const ir::Var& var) override {
    if (!vars_.contains(&var)) Fail(absl::StrCat("variable ", var.name, " is not one of its axes"));
  }
  void VisitLoad(const ir::Load& load) override {
    if (!load.buffer || !defined_.contains(load.buffer.get())) {
      return Fail(absl::StrCat("reads ", load.buffer ? load.buffer->name : "nothing",
                               ", which is not defined before it"));
    }
    if (load.indices.size() != load.buffer->shape.size()) {
      return Fail(absl::StrCat("reads ", load.buffer->name, " with ", load.indices.size(),
                               " indices; it has ", load.buffer->shape.size(), " dimensions"));
    }
    for (const ir::Expr& index : load.indices) {
      if (index.type() != ir::Index()) {
        return Fail(absl::StrCat("reads ", load.buffer->name, " at an index of type ",
                                 ir::ToString(index.type()), "; it has to be ",
                                 ir::ToString(ir::Index())));
      }
    }
    ir::Visitor::VisitLoad(load);
  }
  void VisitRamp(const ir::Ramp&) override { Fail("holds a vector; bodies are scalar"); }
  void VisitBroadcast(const ir::Broadcast&) override { Fail("holds a vector; bodies are scalar"); }
  void VisitCall(const ir::Call& call) override {
    static constexpr std::string_view kUnary[] = {"abs",     "ceil", "erf",   "exp",
                                                  "floor",   "log",  "round", "rsqrt",
                                                  "sigmoid", "sqrt", "tanh",  ir::kTf32};
    const size_t arity = call.name == "pow"                                         ? 2
                         : std::ranges::find(kUnary, call.name) != std::end(kUnary) ? 1
                                                                                    : 0;
    if (arity == 0 || call.args.size() != arity) {
      return Fail(absl::StrCat("calls ", call.name, " with ", call.args.size(),
                               " arguments; there are pow of two, and of one abs, ceil, erf, exp, "
                               "floor, log, round, rsqrt, sigmoid, sqrt, tanh, tf32"));
    }
    for (const ir::Expr& arg : call.args) {
      if (!arg.type().is_float() || arg.type() != call.type) {
        return Fail(absl::StrCat("calls ", call.name, " on ", ir::ToString(arg.type()), " for ",
                                 ir::ToString(call.type), "; both have to be the same float type"));
      }
    }
    if (call.name == ir::kTf32 && call.type != ir::Float(32)) {
      return Fail(absl::StrCat("calls tf32 on ", ir::ToString(call.type), "; it is for f32"));
    }
    ir::Visitor::VisitCall(call);
  }

 private:
  void Fail(const std::string& what) {
    if (status_.ok()) status_ = Fault(absl::StrCat("stage ", stage_.name(), " ", what));
  }

  const Stage& stage_;
  const std::set<const ir::BufferNode*>& defined_;
  std::set<const ir::Var*> vars_;
  absl::Status status_;
};

class DagChecker {
 public:
  explicit DagChecker(const Dag& dag) : dag_(dag) {}

  absl::Status Check() {
    if (dag_.stages.empty()) return Fault("a workload needs at least one stage");
    if (dag_.stages.size() > kMaxStages) {
      return Fault(absl::StrCat(dag_.stages.size(), " stages; the limit is ", kMaxStages));
    }
    for (const Input& input : dag_.inputs) {
      TESSERA_RETURN_IF_ERROR(Define(input.buffer));
      if (input.buffer->policy == ir::LayoutPolicy::kFree && !input.is_constant) {
        return Fault(absl::StrCat(input.buffer->name, ": free layout is for constants"));
      }
    }
    for (const Stage& stage : dag_.stages) TESSERA_RETURN_IF_ERROR(CheckStage(stage));
    for (const std::string& axis : axis_names_) {
      if (names_.contains(axis))
        return Fault(absl::StrCat("axis ", axis, " is named like a tensor"));
    }
    return CheckOutputs();
  }

 private:
  absl::Status CheckName(const std::string& name) {
    if (!IsName(name)) {
      return Fault(absl::StrCat("name \"", name.substr(0, 64),
                                "\" has to be [A-Za-z_][A-Za-z0-9_]*, at most 200 characters and "
                                "no keyword"));
    }
    return absl::OkStatus();
  }

  absl::Status Define(const ir::Buffer& buffer) {
    if (!buffer) return Fault("a tensor without a buffer");
    TESSERA_RETURN_IF_ERROR(CheckName(buffer->name));
    if (!names_.insert(buffer->name).second) {
      return Fault(absl::StrCat("name ", buffer->name, " is defined twice"));
    }
    defined_.insert(buffer.get());
    const auto rank = static_cast<int>(buffer->shape.size());
    if (rank < 1 || rank > kMaxRank) {
      return Fault(
          absl::StrCat(buffer->name, " has ", rank, " dimensions; allowed are 1 to ", kMaxRank));
    }
    for (int64_t extent : buffer->shape) {
      if (extent < 1) return Fault(absl::StrCat(buffer->name, ": extent ", extent, " is below 1"));
    }
    if (SaturatingProduct(buffer->shape) > kMaxElements) {
      return Fault(absl::StrCat(buffer->name, ": ", absl::StrJoin(buffer->shape, "x"),
                                " has more than 2^40 elements"));
    }
    if (buffer->type.is_vector() || buffer->type.code == ir::TypeCode::kToken) {
      return Fault(absl::StrCat(buffer->name, ": elements can't be ", ir::ToString(buffer->type)));
    }
    if (buffer->policy == ir::LayoutPolicy::kBlocked &&
        (buffer->block_axis < 0 || buffer->block_axis >= rank)) {
      return Fault(absl::StrCat(buffer->name, ": blocked axis ", buffer->block_axis,
                                " is not one of its ", rank, " dimensions"));
    }
    return CheckLayout(*buffer);
  }

  absl::Status CheckAxes(const Stage& stage) {
    std::set<std::string> own;
    int64_t points = 1;
    for (const auto* axes : {&stage.axes, &stage.reduce_axes}) {
      for (const Axis& axis : *axes) {
        TESSERA_RETURN_IF_ERROR(CheckName(axis.var->name));
        if (!own.insert(axis.var->name).second) {
          return Fault(absl::StrCat("stage ", stage.name(), " has two axes ", axis.var->name));
        }
        if (axis.extent < 1 || axis.var->type != ir::Index()) {
          return Fault(absl::StrCat("stage ", stage.name(), ": axis ", axis.var->name,
                                    " of extent ", axis.extent, " and type ",
                                    ir::ToString(axis.var->type), "; it has to be at least 1 and ",
                                    ir::ToString(ir::Index())));
        }
        if (!vars_.insert(axis.var.get()).second) {
          return Fault(absl::StrCat("stage ", stage.name(), " shares axis ", axis.var->name,
                                    " with another stage"));
        }
        points = SaturatingMultiply(points, axis.extent);
        axis_names_.insert(axis.var->name);
      }
    }
    if (points > kMaxStagePoints) {
      return Fault(absl::StrCat("stage ", stage.name(), " has more than 2^56 points"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckStage(const Stage& stage) {
    const bool pair = stage.combiner == Combiner::kArgMax || stage.combiner == Combiner::kArgMin;
    const size_t outputs = pair ? 2 : 1;
    if (stage.outputs.empty()) return Fault("a stage without outputs");
    if (stage.outputs.size() != outputs || stage.bodies.size() != outputs) {
      return Fault(absl::StrCat("stage ", stage.outputs[0]->name, " has ", stage.outputs.size(),
                                " outputs and ", stage.bodies.size(), " bodies; ",
                                std::string(ToString(stage.combiner)), " takes ", outputs));
    }
    if (stage.is_reduction() == stage.reduce_axes.empty()) {
      return Fault(absl::StrCat(
          "stage ", stage.name(),
          stage.is_reduction() ? " reduces over no axis" : " has reduce axes but no combiner"));
    }
    if (stage.reduce_axes.size() > kMaxRank) {
      return Fault(absl::StrCat("stage ", stage.name(), " has ", stage.reduce_axes.size(),
                                " reduce axes; the limit is ", kMaxRank));
    }
    TESSERA_RETURN_IF_ERROR(CheckAxes(stage));
    BodyChecker checker(stage, defined_);
    for (size_t k = 0; k < outputs; ++k) {
      if (!stage.bodies[k]) return Fault(absl::StrCat("stage ", stage.name(), " lacks a body"));
      TESSERA_RETURN_IF_ERROR(checker.Check(stage.bodies[k]));
    }
    for (size_t k = 0; k < outputs; ++k) {
      const ir::Buffer& output = stage.outputs[k];
      TESSERA_RETURN_IF_ERROR(Define(output));
      std::vector<int64_t> extents;
      for (const Axis& axis : stage.axes) extents.push_back(axis.extent);
      if (extents != output->shape) {
        return Fault(absl::StrCat("stage ", output->name, ": axes ", absl::StrJoin(extents, "x"),
                                  " differ from its shape ", absl::StrJoin(output->shape, "x")));
      }
      if (stage.bodies[k].type() != output->type) {
        return Fault(absl::StrCat("stage ", output->name, " of ", ir::ToString(output->type),
                                  " has a body of ", ir::ToString(stage.bodies[k].type())));
      }
      if (output->policy == ir::LayoutPolicy::kFree) {
        return Fault(absl::StrCat(output->name, ": free layout is for constants"));
      }
    }
    if (stage.is_reduction() && stage.output()->type.is_bool()) {
      return Fault(absl::StrCat("stage ", stage.name(), " reduces booleans; cast them first"));
    }
    if (stage.direct && stage.combiner != Combiner::kSum) {
      return Fault(absl::StrCat("stage ", stage.name(), " is direct; only sums can be"));
    }
    if (pair && !stage.outputs[1]->type.is_integer()) {
      return Fault(absl::StrCat("stage ", stage.name(), ": index ", stage.outputs[1]->name,
                                " has to be an integer"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckOutputs() {
    if (dag_.outputs.empty()) return Fault("a workload needs at least one output");
    std::vector<bool> used(dag_.stages.size(), false);
    std::set<const ir::BufferNode*> seen;
    for (const ir::Buffer& output : dag_.outputs) {
      const int stage = dag_.StageOf(output);
      if (stage < 0) {
        return Fault(absl::StrCat("output ", output ? output->name : "", " is not a stage's"));
      }
      if (!seen.insert(output.get()).second) {
        return Fault(absl::StrCat("output ", output->name, " is listed twice"));
      }
      used[stage] = true;
    }
    std::set<const ir::BufferNode*> read;
    for (size_t s = dag_.stages.size(); s-- > 0;) {
      const Stage& stage = dag_.stages[s];
      for (const ir::Buffer& output : stage.outputs) {
        if (read.contains(output.get())) used[s] = true;
      }
      if (!used[s]) {
        return Fault(absl::StrCat("stage ", stage.name(),
                                  " is neither an output nor read by a later stage"));
      }
      for (const ir::Expr& body : stage.bodies) {
        ir::ForEach<ir::Load>(body, [&](const ir::Load& load) { read.insert(load.buffer.get()); });
      }
    }
    return absl::OkStatus();
  }

  const Dag& dag_;
  std::set<std::string> names_, axis_names_;
  std::set<const ir::Var*> vars_;
  std::set<const ir::BufferNode*> defined_;
};

}  // namespace

bool IsName(std::string_view name) {
  return ir::IsPlainName(name) && name.find('.') == std::string_view::npos;
}

absl::Status Verify(const Dag& dag) {
  TESSERA_RETURN_IF_ERROR(DagChecker(dag).Check());
  return ir::Verify(ReferenceProgram(Workload{.name = "workload", .dag = dag}));
}

}  // namespace tessera::te
