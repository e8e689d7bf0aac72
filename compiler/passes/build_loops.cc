#include "compiler/passes/build_loops.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "compiler/ir/simplify.h"
#include "compiler/ir/tf32.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/external_call.h"
#include "compiler/passes/guarded_value.h"
#include "compiler/passes/updates.h"

namespace tessera::passes {
namespace {

using schedule::AffineValue;
using schedule::BoundLoop;
using schedule::BoundStage;
using schedule::LoopStructure;
using schedule::Schedule;

// Rewrites a stage's body into loop variables and storage.
class BodyRewriter final : public ir::Mutator {
 public:
  using Substitution = std::map<const ir::Var*, ir::Expr>;
  using Storage = std::map<const ir::BufferNode*, std::pair<ir::Buffer, std::vector<ir::Expr>>>;
  BodyRewriter(const Substitution& axes, const Storage& storage) : axes_(axes), storage_(storage) {}

 private:
  ir::Expr MutateVar(const ir::Var& var, const ir::Expr& self) override {
    const auto found = axes_.find(&var);
    return found == axes_.end() ? self : found->second;
  }
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr&) override {
    const auto& [buffer, base] = storage_.at(load.buffer.get());
    std::vector<ir::Expr> indices;
    for (size_t d = 0; d < load.indices.size(); ++d) {
      ir::Expr index = Mutate(load.indices[d]);
      indices.push_back(base.empty() ? index : index - base[d]);
    }
    return ir::MakeLoad(buffer, std::move(indices));
  }

  const Substitution& axes_;
  const Storage& storage_;
};

class Builder {
 public:
  Builder(const Schedule& schedule, const LoopStructure& loops, bool preparation)
      : schedule_(schedule), loops_(loops), preparation_(preparation) {}

  ir::Program Run(std::string name) {
    ir::Program program;
    program.name = std::move(name);
    program.params = MakeParameters(schedule_);
    const std::vector<te::Input>& inputs = schedule_.inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      storage_[inputs[i].buffer.get()] = {program.params[i], {}};
    }
    std::map<const ir::BufferNode*, ir::Buffer> outputs;
    for (size_t i = 0; i < schedule_.outputs().size(); ++i) {
      outputs[schedule_.outputs()[i].get()] = program.params[inputs.size() + i];
    }
    vars_.resize(loops_.loop_count);
    extents_.resize(loops_.loop_count);
    for (const BoundStage& stage : loops_.stages) {
      const schedule::StageState& state = schedule_.stages()[stage.stage];
      for (size_t l = 0; l < stage.loops.size(); ++l) {
        vars_[stage.loops[l].id] = ir::MakeVar(state.loops[l].name);
        extents_[stage.loops[l].id] = stage.loops[l].extent;
      }
    }
    for (const BoundStage& stage : loops_.stages) {
      const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
      std::vector<ir::Expr> base;
      for (size_t d = 0; d < definition.axes.size(); ++d)
        base.push_back(ToExpr(stage.axes[d].base));
      for (const ir::Buffer& buffer : definition.outputs) {
        const auto output = outputs.find(buffer.get());
        const ir::Buffer stored =
            output != outputs.end() ? output->second : Intermediate(buffer, stage);
        storage_[buffer.get()] = {stored, base};
        if (stage.is_constant && stage.scope == ir::Scope::kGlobal) {
          program.params.push_back(stored);
        }
      }
    }
    for (const BoundStage& stage : loops_.stages) FindFilled(stage);
    program.body = EmitChildren(-1, -1, ir::Stmt());
    return program;
  }

 private:
  // Memory of an intermediate stage. Unless the schedule says otherwise its dimensions are stored
  // in the order in which the stage's innermost loops run over them, so that vectors are
  // contiguous; what lies between the places of a vector that takes every n-th comes further out.
  ir::Buffer Intermediate(const ir::Buffer& buffer, const BoundStage& stage) const {
    ir::BufferNode node = *buffer;
    node.shape = stage.buffer_shape;
    // Of a pair that is an output in part, the other part is nobody else's.
    const bool is_own = stage.scope == ir::Scope::kGlobal && !stage.is_constant;
    node.scope = is_own ? ir::Scope::kWorkspace : stage.scope;
    node.is_doubled = schedule_.stages()[stage.stage].is_doubled;
    const schedule::StorageOrder chosen = schedule::ChosenLayout(schedule_, stage, buffer);
    node.layout.assign(chosen.begin(), chosen.end());
    if (node.layout.empty() && node.shape.size() > 1 && !IsOfCall(buffer, stage)) {
      std::vector<size_t> innermost(node.shape.size(), 0);
      for (size_t l = 0; l < stage.loops.size(); ++l) {
        for (const schedule::Digit& digit : stage.loops[l].digits) {
          if (digit.axis < static_cast<int>(innermost.size()) && digit.extent > 1) {
            innermost[digit.axis] = l;
          }
        }
      }
      std::vector<ir::LayoutDim> between;
      for (size_t d = 0; d < node.shape.size(); ++d) {
        const int64_t stride = VectorStride(stage, static_cast<int>(d));
        if (stride > 1) between.push_back({static_cast<int>(d), 1, stride});
        node.layout.push_back({static_cast<int>(d), stride, (node.shape[d] + stride - 1) / stride});
      }
      std::stable_sort(node.layout.begin(), node.layout.end(),
                       [&](const ir::LayoutDim& a, const ir::LayoutDim& b) {
                         return innermost[a.axis] < innermost[b.axis];
                       });
      node.layout.insert(node.layout.begin(), between.begin(), between.end());
    }
    return std::make_shared<const ir::BufferNode>(std::move(node));
  }

  // Whether a library computes or reads it: then it is row-major.
  bool IsOfCall(const ir::Buffer& buffer, const BoundStage& stage) const {
    const auto& stages = schedule_.stages();
    return !stages[stage.stage].provider.empty() ||
           std::ranges::any_of(stages, [&](const schedule::StageState& state) {
             return !state.provider.empty() && state.Reads(buffer);
           });
  }

  // How far apart along an axis the lanes of the stage's vectors are; 1 if none run along it.
  static int64_t VectorStride(const BoundStage& stage, int axis) {
    for (const BoundLoop& loop : stage.loops) {
      if (loop.kind != ir::LoopKind::kVectorized || loop.digits.size() != 1) continue;
      const schedule::Digit& digit = loop.digits[0];
      if (digit.axis == axis && digit.extent > 1) return digit.stride;
    }
    return 1;
  }

  ir::Expr ToExpr(const AffineValue& value) const {
    ir::Expr sum(value.constant);
    for (const schedule::LoopTerm& term : value.terms) {
      sum = sum + DigitExpr(term.loop, term.divisor, term.extent) * ir::Expr(term.coefficient);
    }
    return sum;
  }

  ir::Expr DigitExpr(int loop, int64_t divisor, int64_t extent) const {
    ir::Expr digit = vars_[loop];
    if (divisor > 1) digit = digit / ir::Expr(divisor);
    const bool outermost = divisor * extent == extents_[loop];
    return outermost ? digit : digit % ir::Expr(extent);
  }

  // `inner` preceded by the nests attached at loop `depth` of bound stage `at` (-1, -1: the root).
  ir::Stmt EmitChildren(int at, int depth, const ir::Stmt& inner) {
    std::vector<ir::Stmt> sequence;
    std::vector<ir::Buffer> buffers;
    for (size_t i = 0; i < loops_.stages.size(); ++i) {
      const BoundStage& stage = loops_.stages[i];
      if (stage.at != at || stage.at_depth != depth) continue;
      if (at < 0 && stage.is_constant != preparation_) continue;
      sequence.push_back(EmitNest(static_cast<int>(i)));
      for (const ir::Buffer& output : schedule_.stages()[stage.stage].stage->outputs) {
        const ir::Buffer& stored = storage_.at(output.get()).first;
        if (stored->scope != ir::Scope::kGlobal) buffers.push_back(stored);
      }
    }
    sequence.push_back(inner);
    ir::Stmt body = ir::MakeBlock(std::move(sequence));
    for (size_t i = buffers.size(); i-- > 0;) body = ir::MakeAllocate(buffers[i], body);
    return body;
  }

  // Positions of the stage's axes: own digits without the region's base.
  std::vector<ir::Expr> LocalPositions(const BoundStage& stage) const {
    std::vector<ir::Expr> positions(stage.axes.size(), ir::Expr(0));
    for (const BoundLoop& loop : stage.loops) {
      int64_t divisor = 1;
      for (size_t i = loop.digits.size(); i-- > 0;) {
        const schedule::Digit& digit = loop.digits[i];
        positions[digit.axis] = positions[digit.axis] +
                                DigitExpr(loop.id, divisor, digit.extent) * ir::Expr(digit.stride);
        divisor *= digit.extent;
      }
    }
    return positions;
  }

  bool IsFilled(const BoundStage& stage, size_t axis) const {
    return filled_axes_.contains({stage.stage, static_cast<int>(axis)});
  }

  // True where the position is inside the memory that the stage writes.
  ir::Expr InsideBuffer(const BoundStage& stage, const std::vector<ir::Expr>& positions,
                        size_t axis_count) const {
    ir::Expr guard;
    for (size_t a = 0; a < axis_count; ++a) {
      if (!stage.axes[a].guarded || IsFilled(stage, a)) continue;
      guard = ir::And(guard, ir::Lt(positions[a], ir::Expr(stage.axes[a].extent)));
    }
    return guard;
  }

  // True where the position is one that the stage must compute, `any_output`: or one beyond the
  // outputs that nobody reads.
  ir::Expr Guard(const BoundStage& stage, const std::vector<ir::Expr>& positions,
                 bool any_output) const {
    return ir::And(InsideBuffer(stage, positions, stage.axes.size()),
                   InsideAxes(stage, positions, any_output));
  }

  // Of an axis's position that a loop over neighbouring values is part of, that of the first, where
  // a test against `limit` decides for all of them at once: the test then moves out of the loop.
  ir::Expr OfFirst(const BoundStage& stage, int axis, int64_t limit,
                   const ir::Expr& position) const {
    for (const BoundLoop& loop : stage.loops) {
      if (loop.digits.size() != 1) continue;
      const schedule::Digit& inner = loop.digits[0];
      if (inner.axis != axis || inner.stride != 1) continue;
      const auto divides = [&](int64_t n) { return n % inner.extent == 0; };
      const AffineValue& base = stage.axes[axis].base;
      bool aligned = divides(limit) && divides(base.constant);
      for (const schedule::LoopTerm& term : base.terms) aligned &= divides(term.coefficient);
      for (const BoundLoop& other : stage.loops) {
        for (const schedule::Digit& digit : other.digits) {
          aligned &= digit.axis != axis || &other == &loop || divides(digit.stride);
        }
      }
      if (aligned) return ir::Substitute(position, {vars_[loop.id]}, {ir::Expr(0)});
    }
    return position;
  }

  // The same of what has memory.
  ir::Expr InsideAxes(const BoundStage& stage, const std::vector<ir::Expr>& positions,
                      bool any_output) const {
    const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
    ir::Expr guard;
    for (size_t a = any_output ? definition.axes.size() : 0; a < stage.axes.size(); ++a) {
      if (!stage.axes[a].guarded || IsFilled(stage, a)) continue;
      const int64_t extent = a < definition.axes.size()
                                 ? definition.axes[a].extent
                                 : definition.reduce_axes[a - definition.axes.size()].extent;
      const AffineValue& base = stage.axes[a].base;
      if (base.terms.empty() && base.constant == 0 && stage.axes[a].extent == extent) continue;
      const ir::Expr value =
          ToExpr(base) + OfFirst(stage, static_cast<int>(a), extent, positions[a]);
      guard = ir::And(guard, ir::Le(ir::Expr(0), value));
      guard = ir::And(guard, ir::Lt(value, ir::Expr(extent)));
    }
    return guard;
  }

  bool ReadsSharedAlone(const BoundStage& stage) const {
    const auto& reads = schedule_.stages()[stage.stage].analysis->read_buffers;
    return std::ranges::all_of(reads, [&](const ir::BufferNode* buffer) {
      return storage_.at(buffer).first->scope == ir::Scope::kShared;
    });
  }

  // Whether what `value` reads, of shared memory alone, is in range for every value of the loops:
  // then a thread may as well compute what lies beyond the edge.
  bool IsReadable(const ir::Expr& value) const {
    ir::Ranges ranges;
    for (size_t i = 0; i < vars_.size(); ++i) ranges[vars_[i].get()] = {0, extents_[i] - 1};
    bool readable = true;
    ir::ForEach<ir::Load>(value, [&](const ir::Load& load) {
      for (size_t d = 0; d < load.indices.size() && readable; ++d) {
        const std::optional<ir::Interval> bound =
            ir::Bound(ir::Simplify(load.indices[d], ranges), ranges);
        readable = bound && bound->min >= 0 && bound->max < load.buffer->shape[d];
      }
    });
    return readable;
  }

  // Reduction axes that chunks don't divide: where all operands are copies that a block shares,
  // each has the neutral element beyond their end, and no term is tested.
  void FindFilled(const BoundStage& stage) {
    const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
    if (!definition.is_reduction() || definition.outputs.size() != 1 ||
        stage.scope != ir::Scope::kLocal || !ReadsSharedAlone(stage)) {
      return;
    }
    const size_t spatial = definition.axes.size();
    std::vector<std::pair<int, int>> axes;
    for (size_t a = spatial; a < stage.axes.size(); ++a) {
      if (stage.axes[a].guarded && EndsWithOperands(stage, static_cast<int>(a))) {
        axes.emplace_back(stage.stage, static_cast<int>(a));
      }
    }
    const std::vector<ir::Expr> positions = LocalPositions(stage);
    BodyRewriter::Substitution values;
    for (size_t a = 0; a < stage.axes.size(); ++a) {
      const te::Axis& axis = a < spatial ? definition.axes[a] : definition.reduce_axes[a - spatial];
      values[axis.var.get()] = ToExpr(stage.axes[a].base) + positions[a];
    }
    const ir::Expr neutral = te::Identity(definition.combiner, definition.bodies[0].type(), 0);
    const ir::Expr term = definition.bodies[0];
    if (axes.empty() || !SameConst(WithoutMemory(term, definition.combiner), neutral) ||
        !IsReadable(BodyRewriter(values, storage_).Mutate(term))) {
      return;
    }
    filled_axes_.insert(axes.begin(), axes.end());
    for (const ir::BufferNode* buffer : schedule_.stages()[stage.stage].analysis->read_buffers) {
      fillings_[buffer] = te::Identity(definition.combiner, buffer->type, 0);
    }
  }

  // Whether each operand of `stage` is a copy for it alone that ends where the reduction's axis
  // does.
  bool EndsWithOperands(const BoundStage& stage, int axis) const {
    const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
    const int64_t extent = definition.reduce_axes[axis - definition.axes.size()].extent;
    const auto& reads = schedule_.stages()[stage.stage].analysis->reads;
    return std::ranges::all_of(reads, [&](const schedule::Access& access) {
      const int producer = schedule_.StageNamed(access.buffer->name);
      const bool is_own = producer >= 0 && !schedule_.stages()[producer].stage->is_reduction() &&
                          schedule_.Consumers(producer).size() == 1;
      bool ends = false;
      for (size_t d = 0; is_own && d < access.dims.size(); ++d) {
        ends |= schedule::IsPlain(access.dims[d], axis) && access.buffer->shape[d] == extent;
      }
      return ends;
    });
  }

  // `term` where all that it reads is the neutral element.
  static ir::Expr WithoutMemory(const ir::Expr& term, te::Combiner combiner) {
    class Replacer final : public ir::Mutator {
     public:
      explicit Replacer(te::Combiner combiner) : combiner_(combiner) {}

     private:
      ir::Expr MutateLoad(const ir::Load& load, const ir::Expr&) override {
        return te::Identity(combiner_, load.buffer->type, 0);
      }
      ir::Expr MutateCall(const ir::Call& call, const ir::Expr& self) override {
        const ir::Expr* value = ir::AsTf32(self);
        return value != nullptr ? Mutate(*value) : ir::Mutator::MutateCall(call, self);
      }
      te::Combiner combiner_;
    };
    return ir::Simplify(Replacer(combiner).Mutate(term), ir::Ranges{});
  }

  static ir::Stmt Guarded(const ir::Expr& condition, ir::Stmt body) {
    return condition ? ir::MakeIf(condition, std::move(body)) : body;
  }

  ir::Stmt WrapLoops(const BoundStage& stage, size_t begin, size_t end, bool skip_reductions,
                     ir::Stmt body) const {
    for (size_t l = end; l-- > begin;) {
      const BoundLoop& loop = stage.loops[l];
      if (skip_reductions && loop.is_reduction) continue;
      body =
          ir::MakeFor(vars_[loop.id], 0, loop.extent, std::move(body), loop.kind, loop.thread_axis);
    }
    return body;
  }

  // A call of a library in place of the innermost loops.
  ir::Stmt EmitCall(const BoundStage& stage) const {
    const size_t around = LoopsAroundCall(schedule_, stage);
    return WrapLoops(stage, 0, around, false,
                     ir::MakeEvaluate(MakeExternalCall(schedule_, stage, FirstOf(stage, around))));
  }

  FirstElements FirstOf(const BoundStage& stage, size_t around) const {
    const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
    const size_t spatial = definition.axes.size();
    std::vector<ir::VarRef> inner;
    for (size_t l = around; l < stage.loops.size(); ++l) {
      inner.push_back(vars_[stage.loops[l].id]);
    }
    const std::vector<ir::Expr> zeros(inner.size(), ir::Expr(0));
    std::vector<ir::Expr> first;
    for (const ir::Expr& position : LocalPositions(stage)) {
      first.push_back(ir::Substitute(position, inner, zeros));
    }
    BodyRewriter::Substitution axes;
    for (size_t a = 0; a < stage.axes.size(); ++a) {
      const te::Axis& axis = a < spatial ? definition.axes[a] : definition.reduce_axes[a - spatial];
      axes[axis.var.get()] = first[a];
    }
    return {[this, axes](const ir::Load& read) {
              return BodyRewriter(axes, storage_).Mutate(ir::MakeLoad(read.buffer, read.indices));
            },
            ir::MakeLoad(Buffer(definition, 0), {first.begin(), first.begin() + spatial})};
  }

  ir::Stmt EmitNest(int index) {
    const BoundStage& stage = loops_.stages[index];
    if (!schedule_.stages()[stage.stage].provider.empty()) return EmitCall(stage);
    const te::Stage& definition = *schedule_.stages()[stage.stage].stage;
    const size_t spatial = definition.axes.size();
    const std::vector<ir::Expr> positions = LocalPositions(stage);
    BodyRewriter::Substitution axes;
    for (size_t a = 0; a < stage.axes.size(); ++a) {
      const te::Axis& axis = a < spatial ? definition.axes[a] : definition.reduce_axes[a - spatial];
      axes[axis.var.get()] = ToExpr(stage.axes[a].base) + positions[a];
    }
    // Local memory holds the region from 0; memory at the root holds every value at its place.
    std::vector<ir::Expr> where(positions.begin(), positions.begin() + spatial);
    BodyRewriter rewriter(axes, storage_);

    ir::Stmt body;
    const bool any_output = stage.scope == ir::Scope::kLocal && definition.is_reduction() &&
                            ReadsSharedAlone(stage) &&
                            std::ranges::all_of(definition.bodies, [&](const ir::Expr& value) {
                              return IsReadable(rewriter.Mutate(value));
                            });
    ir::Expr condition = Guard(stage, positions, any_output);
    if (!definition.is_reduction()) {
      body = ir::MakeStore(Buffer(definition, 0), where, rewriter.Mutate(definition.bodies[0]), {},
                           schedule_.stages()[stage.stage].streams);
      const auto filling = fillings_.find(definition.output().get());
      if (filling != fillings_.end()) {
        condition = InsideBuffer(stage, positions, spatial);
        if (const ir::Expr inside = InsideAxes(stage, positions, false)) {
          body = ir::MakeIf(inside, std::move(body),
                            ir::MakeStore(Buffer(definition, 0), where, filling->second));
        }
      }
    } else if (definition.bodies.size() == 2) {
      const GuardedValue value = SplitIdentity(definition.combiner, definition.bodies[0]);
      const GuardedValue place = SplitIdentity(definition.combiner, definition.bodies[1], 1);
      // The pair counts where both do; elsewhere neither is worth computing.
      const bool together = value.condition && value.condition.Same(place.condition);
      if (together) condition = ir::And(condition, rewriter.Mutate(value.condition));
      body = ir::MakeBlock(MakePairUpdate(
          {Buffer(definition, 0), Buffer(definition, 1), where,
           definition.combiner == te::Combiner::kArgMax ? ir::BinaryOp::kMax : ir::BinaryOp::kMin,
           rewriter.Mutate(together ? value.value : definition.bodies[0]),
           rewriter.Mutate(together ? place.value : definition.bodies[1])}));
    } else {
      GuardedValue term = SplitIdentity(definition.combiner, definition.bodies[0]);
      const ir::Buffer buffer = Buffer(definition, 0);
      body = ir::MakeStore(buffer, where,
                           te::Combine(definition.combiner, ir::MakeLoad(buffer, where),
                                       rewriter.Mutate(term.value)));
      if (term.condition) condition = ir::And(condition, rewriter.Mutate(term.condition));
    }
    body = Guarded(condition, std::move(body));

    size_t first_reduction = stage.loops.size();
    for (size_t l = stage.loops.size(); l-- > 0;) {
      if (stage.loops[l].is_reduction) first_reduction = l;
    }
    for (size_t l = stage.loops.size(); l-- > 0;) {
      body = EmitChildren(index, static_cast<int>(l), body);
      body = WrapLoops(stage, l, l + 1, false, std::move(body));
      if (l == first_reduction && definition.is_reduction()) {
        body = ir::MakeBlock({InitNest(stage, definition, positions, where, l), std::move(body)});
      }
    }
    if (definition.is_reduction() && first_reduction == stage.loops.size()) {
      body = ir::MakeBlock({InitNest(stage, definition, positions, where, first_reduction), body});
    }
    return body;
  }

  ir::Stmt InitNest(const BoundStage& stage, const te::Stage& definition,
                    const std::vector<ir::Expr>& positions, const std::vector<ir::Expr>& where,
                    size_t first_reduction) const {
    std::vector<ir::Stmt> stores;
    for (size_t k = 0; k < definition.outputs.size(); ++k) {
      const ir::Buffer buffer = Buffer(definition, static_cast<int>(k));
      stores.push_back(ir::MakeStore(
          buffer, where, te::Identity(definition.combiner, buffer->type, static_cast<int>(k))));
    }
    // All of the buffer, also what lies outside of the axes, so that tiles can be loaded whole.
    ir::Stmt init = Guarded(InsideBuffer(stage, positions, definition.axes.size()),
                            ir::MakeBlock(std::move(stores)));
    init = WrapLoops(stage, first_reduction, stage.loops.size(), true, std::move(init));
    // The update nest binds the same loops: give the initialisation variables of its own.
    for (size_t l = first_reduction; l < stage.loops.size(); ++l) {
      if (stage.loops[l].is_reduction) continue;
      const ir::VarRef& var = vars_[stage.loops[l].id];
      init = RenameLoop(init, var, ir::MakeVar(var->name));
    }
    return init;
  }

  static ir::Stmt RenameLoop(const ir::Stmt& s, const ir::VarRef& from, const ir::VarRef& to) {
    class Renamer final : public ir::Mutator {
     public:
      Renamer(const ir::VarRef& from, const ir::VarRef& to) : from_(from), to_(to) {}

     private:
      ir::Expr MutateVar(const ir::Var& var, const ir::Expr& self) override {
        return &var == from_.get() ? ir::Expr(to_) : self;
      }
      ir::Stmt MutateFor(const ir::For& loop, const ir::Stmt&) override {
        return ir::MakeFor(loop.var == from_ ? to_ : loop.var, loop.min, loop.extent,
                           Mutate(loop.body), loop.loop_kind, loop.thread_axis);
      }
      ir::VarRef from_, to_;
    };
    return Renamer(from, to).Mutate(s);
  }

  ir::Buffer Buffer(const te::Stage& definition, int k) const {
    return storage_.at(definition.outputs[k].get()).first;
  }

  const Schedule& schedule_;
  const LoopStructure& loops_;
  const bool preparation_;
  std::vector<ir::VarRef> vars_;  // by loop id
  std::vector<int64_t> extents_;  // by loop id
  BodyRewriter::Storage storage_;
  std::set<std::pair<int, int>> filled_axes_;           // stage and axis
  std::map<const ir::BufferNode*, ir::Expr> fillings_;  // of outputs of stages
};

}  // namespace

std::vector<ir::Buffer> MakeParameters(const Schedule& schedule) {
  std::vector<ir::Buffer> parameters;
  const auto add = [&](const ir::Buffer& buffer) {
    ir::BufferNode node = *buffer;
    node.scope = ir::Scope::kGlobal;
    node.layout = schedule.LayoutOf(buffer);
    node.read_path = schedule.ReadPathOf(buffer);
    parameters.push_back(std::make_shared<const ir::BufferNode>(std::move(node)));
  };
  for (const te::Input& input : schedule.inputs()) add(input.buffer);
  for (const ir::Buffer& output : schedule.outputs()) add(output);
  return parameters;
}

absl::StatusOr<ir::Program> BuildLoops(const Schedule& schedule, const LoopStructure& loops,
                                       std::string name) {
  for (const BoundStage& stage : loops.stages) {
    const schedule::StageState& state = schedule.stages()[stage.stage];
    if (!state.is_doubled || stage.scope == ir::Scope::kShared) continue;
    return absl::InvalidArgumentError(absl::StrCat("double_buffer ", state.stage->name(),
                                                   ": only what the threads of a block share"));
  }
  for (const ir::Buffer& parameter : MakeParameters(schedule)) {
    if (ir::IndexIsStoredPosition(*parameter)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "layout ", parameter->name,
        ": loops read what has one dimension in order; only accelerators load copies"));
  }
  return Builder(schedule, loops, false).Run(std::move(name));
}

absl::StatusOr<ir::Program> BuildPreparation(const Schedule& schedule, const LoopStructure& loops,
                                             std::string name) {
  return Builder(schedule, loops, true).Run(std::move(name));
}

}  // namespace tessera::passes
