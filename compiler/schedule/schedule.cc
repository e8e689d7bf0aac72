#include "compiler/schedule/schedule.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_join.h"
#include "base/names.h"
#include "base/status.h"
#include "base/third_party.h"
#include "base/view.h"
#include "compiler/ir/layout_parts.h"
#include "compiler/ir/visitor.h"
#include "compiler/schedule/digits.h"
#include "compiler/schedule/external.h"
#include "compiler/schedule/inlined_size.h"
#include "compiler/schedule/invalid_step.h"
#include "compiler/schedule/tensorize.h"
#include "compiler/schedule/winograd.h"
#include "compiler/te/saturating.h"

namespace tessera::schedule {
namespace {

constexpr int64_t kMaxStoredElements = 2 * te::kMaxElements;  // as in workloads

// Replaces reads of `from` by what `make` returns for the read's indices.
class ReadReplacer final : public ir::Mutator {
 public:
  ReadReplacer(const ir::Buffer& from, std::function<ir::Expr(const std::vector<ir::Expr>&)> make)
      : from_(from), make_(std::move(make)) {}

 private:
  ir::Expr MutateLoad(const ir::Load& load, const ir::Expr& self) override {
    if (load.buffer != from_) return ir::Mutator::MutateLoad(load, self);
    std::vector<ir::Expr> indices;
    for (const ir::Expr& index : load.indices) indices.push_back(Mutate(index));
    return make_(indices);
  }

  ir::Buffer from_;
  std::function<ir::Expr(const std::vector<ir::Expr>&)> make_;
};

te::Stage ReplaceReads(const te::Stage& stage, const ir::Buffer& from,
                       const std::function<ir::Expr(const std::vector<ir::Expr>&)>& make) {
  te::Stage result = stage;
  ReadReplacer replacer(from, make);
  for (ir::Expr& body : result.bodies) body = replacer.Mutate(body);
  return result;
}

te::Stage RedirectReads(const te::Stage& stage, const ir::Buffer& from, const ir::Buffer& to) {
  return ReplaceReads(
      stage, from, [&](const std::vector<ir::Expr>& indices) { return ir::MakeLoad(to, indices); });
}

StageState MakeState(te::Stage stage) {
  StageState state;
  state.analysis = Analyze(stage);
  int axis = 0;
  for (const te::Axis& a : stage.axes) {
    state.loops.push_back(
        {a.var->name, false, ir::LoopKind::kSerial, ir::ThreadAxis::kNone, {Digit{axis++, 1, 0}}});
  }
  for (const te::Axis& a : stage.reduce_axes) {
    state.loops.push_back(
        {a.var->name, true, ir::LoopKind::kSerial, ir::ThreadAxis::kNone, {Digit{axis++, 1, 0}}});
  }
  state.stage = std::make_shared<const te::Stage>(std::move(stage));
  return state;
}

// A stage that copies `from`, with axes named after `names`.
te::Stage CopyStage(const ir::Buffer& from, const ir::Buffer& to,
                    const std::vector<std::string>& names) {
  te::Stage copy;
  copy.outputs = {to};
  std::vector<ir::Expr> indices;
  for (size_t d = 0; d < from->shape.size(); ++d) {
    copy.axes.push_back({ir::MakeVar(names[d]), from->shape[d]});
    indices.push_back(copy.axes.back().var);
  }
  copy.bodies = {ir::MakeLoad(from, indices)};
  return copy;
}

std::vector<std::string> AxisNames(const te::Stage& stage) {
  std::vector<std::string> names;
  for (const te::Axis& axis : stage.axes) names.push_back(axis.var->name);
  return names;
}

}  // namespace

int StageState::LoopNamed(std::string_view name) const {
  for (size_t i = 0; i < loops.size(); ++i) {
    if (loops[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

bool StageState::Reads(const ir::Buffer& buffer) const {
  return std::ranges::binary_search(analysis->read_buffers, buffer.get());
}

Schedule::Schedule(const te::Dag& dag)
    : ports_(std::make_shared<const Ports>(Ports{dag.inputs, dag.outputs})) {
  for (const te::Stage& stage : dag.stages) stages_.push_back(MakeState(stage));
}

int Schedule::StageNamed(std::string_view name) const {
  for (size_t i = 0; i < stages_.size(); ++i) {
    if (stages_[i].stage->name() == name) return static_cast<int>(i);
  }
  return -1;
}

ir::Buffer Schedule::BufferNamed(std::string_view name) const {
  for (const te::Input& input : inputs()) {
    if (input.buffer->name == name) return input.buffer;
  }
  for (const StageState& state : stages_) {
    for (const ir::Buffer& output : state.stage->outputs) {
      if (output->name == name) return output;
    }
  }
  return nullptr;
}

std::vector<int> Schedule::Consumers(int index) const {
  std::vector<int> consumers;
  for (size_t i = static_cast<size_t>(index) + 1; i < stages_.size(); ++i) {
    if (stages_[i].placement == Placement::kInlined) continue;
    for (const ir::Buffer& output : stages_[index].stage->outputs) {
      if (stages_[i].Reads(output)) {
        consumers.push_back(static_cast<int>(i));
        break;
      }
    }
  }
  return consumers;
}

const std::vector<ir::LayoutDim>& Schedule::LayoutOf(const ir::Buffer& buffer) const {
  for (const auto& [known, layout] : layouts_) {
    if (known == buffer) return layout;
  }
  return buffer->layout;
}

ir::ReadPath Schedule::ReadPathOf(const ir::Buffer& buffer) const {
  const auto found =
      std::ranges::find(read_paths_, buffer, &decltype(read_paths_)::value_type::first);
  return found == read_paths_.end() ? ir::ReadPath::kPlain : found->second;
}

absl::StatusOr<int> Schedule::FindStage(std::string_view name) const {
  const int index = StageNamed(name);
  if (index >= 0 && stages_[index].placement != Placement::kInlined) return index;
  if (index >= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("stage ", std::string(name), " has been inlined"));
  }
  std::vector<std::string> known;
  for (const StageState& state : stages_) known.push_back(state.stage->name());
  return absl::InvalidArgumentError(
      absl::StrCat("no stage ", std::string(name), "; known are ", absl::StrJoin(known, ", ")));
}

absl::StatusOr<int> Schedule::FindUntouchedStage(const Step& step) const {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  const StageState& state = stages_[index];
  bool untouched = state.placement == Placement::kRoot && !state.streams && state.prefetch == 0 &&
                   !state.is_doubled && state.provider.empty() &&
                   state.loops.size() == static_cast<size_t>(state.axis_count());
  for (const LoopState& loop : state.loops) {
    untouched &= loop.kind == ir::LoopKind::kSerial && loop.digits.size() == 1;
  }
  if (!untouched) return Invalid(step, "must come before the stage's loops are changed");
  return index;
}

void Schedule::InsertStage(int index, te::Stage stage) {
  stages_.insert(stages_.begin() + index, MakeState(std::move(stage)));
  for (StageState& state : stages_) {
    if (state.at_stage >= index) ++state.at_stage;
  }
}

void Schedule::ReplaceStage(int index, te::Stage stage) {
  StageState& state = stages_[index];
  state.analysis = Analyze(stage);
  state.stage = std::make_shared<const te::Stage>(std::move(stage));
}

absl::Status Schedule::Apply(const Step& step) {
  switch (step.primitive) {
    case Primitive::kLayout:
      return Layout(step);
    case Primitive::kInline:
      return Inline(step);
    case Primitive::kCacheWrite:
      return CacheWrite(step);
    case Primitive::kCacheRead:
      return CacheRead(step);
    case Primitive::kRfactor:
      return Rfactor(step);
    case Primitive::kWinograd:
      return Winograd(step);
    case Primitive::kTensorize:
      return Tensorize(step);
    case Primitive::kComputeAt:
      return ComputeAt(step);
    case Primitive::kSplit:
      return Split(step);
    case Primitive::kFuse:
      return Fuse(step);
    case Primitive::kReorder:
      return Reorder(step);
    case Primitive::kVectorize:
    case Primitive::kUnroll:
    case Primitive::kParallel:
    case Primitive::kBind:
      return Annotate(step);
    case Primitive::kStream:
      return Stream(step);
    case Primitive::kPrefetch:
      return Prefetch(step);
    case Primitive::kDoubleBuffer:
      return DoubleBuffer(step);
    case Primitive::kReadThrough:
      return ReadThrough(step);
    case Primitive::kExternal:
      return External(step);
  }
  return absl::InternalError("unknown primitive");
}

absl::Status Schedule::Apply(const Trace& trace) {
  for (size_t i = 0; i < trace.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(tessera::Annotate(Apply(trace[i]), absl::StrCat("step ", i + 1)));
  }
  return absl::OkStatus();
}

bool Schedule::IsOutput(const ir::Buffer& buffer) const {
  return std::find(outputs().begin(), outputs().end(), buffer) != outputs().end();
}

bool Schedule::MakesOutput(const te::Stage& stage) const {
  return std::any_of(stage.outputs.begin(), stage.outputs.end(),
                     [&](const ir::Buffer& buffer) { return IsOutput(buffer); });
}

absl::Status Schedule::SetLayout(const ir::Buffer& buffer, std::vector<ir::LayoutDim> layout) {
  const bool is_constant = std::any_of(inputs().begin(), inputs().end(), [&](const auto& input) {
    return input.buffer == buffer && input.is_constant;
  });
  int64_t elements = 1;
  for (const ir::LayoutDim& part : layout) {
    elements = te::SaturatingMultiply(elements, part.extent);
  }
  if (elements > kMaxStoredElements) {
    return absl::InvalidArgumentError(
        absl::StrCat("layout ", buffer->name, ": it stores more than ", kMaxStoredElements,
                     " elements; store fewer copies, or choose parts that divide"));
  }
  const bool has_gaps = ir::HasGaps(layout, buffer->shape);
  const int64_t copies = ir::CopiesOf(layout, buffer->shape);
  if (is_constant && copies > ir::kMaxLayoutCopies) {
    return absl::InvalidArgumentError(absl::StrCat("layout ", buffer->name, ": it stores ", copies,
                                                   " copies of each element; constants have ",
                                                   ir::kMaxLayoutCopies, " at most"));
  }
  const bool has_copies = is_constant && copies > 1;
  if (buffer->shape.size() == 1 && !has_copies) {
    ir::BufferNode stored = *buffer;
    stored.layout = layout;
    if (!ir::IndexIsStoredPosition(stored)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "layout ", buffer->name, ": the elements of its one dimension keep their order"));
    }
  }
  const bool is_input = std::any_of(inputs().begin(), inputs().end(),
                                    [&](const te::Input& i) { return i.buffer == buffer; });
  if (ir::HasDiagonal(layout) && (!is_input || buffer->policy != ir::LayoutPolicy::kFree)) {
    return absl::InvalidArgumentError(
        absl::StrCat("layout ", buffer->name, ": only constants of free layout have diagonals"));
  }
  if (is_input || IsOutput(buffer)) {
    if (has_gaps && !has_copies) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout ", buffer->name,
                       ": only what stages make for others has gaps, and constants copies"));
    }
    // What is packed in any case may be stored several times, in its order.
    if (buffer->policy == ir::LayoutPolicy::kFixed &&
        !(has_copies && ir::IsRowMajorButCopies(layout, buffer->shape))) {
      return absl::InvalidArgumentError(
          absl::StrCat("layout ", buffer->name, ": the workload fixes this buffer's layout"));
    }
    if (buffer->policy == ir::LayoutPolicy::kBlocked) {
      // Row-major but for one block of block_axis, which is innermost, and maybe one of the first
      // axis in front of it.
      const size_t rank = buffer->shape.size();
      const int64_t block = layout.empty() ? 1 : layout.back().extent;
      const bool has_rows = layout.size() == rank + 2 && buffer->block_axis != 0 &&
                            layout[rank].axis == 0 && layout[rank].divisor == 1;
      const int64_t rows = has_rows ? layout[rank].extent : 1;
      bool allowed = (has_rows || layout.size() == rank + 1) &&
                     layout.back().axis == buffer->block_axis && layout.back().divisor == 1;
      for (size_t d = 0; allowed && d < rank; ++d) {
        const auto axis = static_cast<int>(d);
        allowed = layout[d].axis == axis && layout[d].divisor == (axis == buffer->block_axis ? block
                                                                  : axis == 0                ? rows
                                                                                             : 1);
      }
      if (!allowed) {
        return absl::InvalidArgumentError(
            absl::StrCat("layout ", buffer->name, ": \"", ir::LayoutToString(layout, buffer->shape),
                         "\" is not a block of axis ", buffer->block_axis, " moved innermost"));
      }
    }
  }
  for (auto& [known, existing] : layouts_) {
    if (known == buffer) {
      existing = std::move(layout);
      return absl::OkStatus();
    }
  }
  layouts_.emplace_back(buffer, std::move(layout));
  return absl::OkStatus();
}

absl::Status Schedule::Layout(const Step& step) {
  const ir::Buffer buffer = BufferNamed(step.stage);
  if (buffer == nullptr) return Invalid(step, "no such buffer");
  absl::StatusOr<std::vector<ir::LayoutDim>> layout = ir::ParseLayout(step.layout, buffer->shape);
  if (!layout.ok()) return Invalid(step, StdView(layout.status().message()));
  return SetLayout(buffer, *std::move(layout));
}

absl::Status Schedule::ReadThrough(const Step& step) {
  const auto input = std::ranges::find_if(
      inputs(), [&](const te::Input& one) { return one.buffer->name == step.stage; });
  if (input == inputs().end()) return Invalid(step, "is no input of the workload");
  const ir::Buffer& buffer = input->buffer;
  const std::optional<ir::ReadPath> path = ir::ReadPathNamed(step.names[0]);
  if (!path || *path == ir::ReadPath::kPlain) {
    return Invalid(step, absl::StrCat("no path ", step.names[0], "; known are constant, image"));
  }
  if (ReadPathOf(buffer) != ir::ReadPath::kPlain) return Invalid(step, "has a path already");
  ir::BufferNode stored = *buffer;
  stored.layout = LayoutOf(buffer);
  if (*path == ir::ReadPath::kImage && !ir::FillsTexels(stored)) {
    return Invalid(
        step, absl::StrCat(stored.StoredElementCount(), " elements of ", ir::ToString(buffer->type),
                           "; an image has fours of f32 or f16"));
  }
  read_paths_.emplace_back(buffer, *path);
  return absl::OkStatus();
}

absl::Status Schedule::Inline(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindUntouchedStage(step));
  const std::shared_ptr<const te::Stage> stage = stages_[index].stage;
  if (stage->is_reduction()) return Invalid(step, "a reduction can't be inlined");
  if (IsOutput(stage->output())) {
    return Invalid(step, "an output can't be inlined");
  }
  const std::vector<int> consumers = Consumers(index);
  for (int consumer : consumers) {
    const te::Stage& into = *stages_[consumer].stage;
    if (InlinedSize(*stage, into) > kMaxBodyNodes) {
      return Invalid(step, absl::StrCat("the body of ", into.name(), " would have more than ",
                                        kMaxBodyNodes, " nodes"));
    }
  }
  std::vector<ir::VarRef> axes;
  for (const te::Axis& axis : stage->axes) axes.push_back(axis.var);
  for (int consumer : consumers) {
    ReplaceStage(consumer, ReplaceReads(*stages_[consumer].stage, stage->output(),
                                        [&](const std::vector<ir::Expr>& indices) {
                                          return ir::Substitute(stage->bodies[0], axes, indices);
                                        }));
  }
  stages_[index].placement = Placement::kInlined;
  stages_[index].loops.clear();
  return absl::OkStatus();
}

absl::Status Schedule::CacheWrite(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindUntouchedStage(step));
  te::Stage local = *stages_[index].stage;
  if (local.outputs.size() != 1) return Invalid(step, "tuple reductions have no cached copy");
  const ir::Buffer original = local.output();
  const ir::Buffer cache =
      ir::MakeBuffer(original->name + ".local", original->type, original->shape, ir::Scope::kLocal);
  if (BufferNamed(cache->name) != nullptr) return Invalid(step, "is cached already");
  local.outputs = {cache};
  te::Stage copy = CopyStage(cache, original, AxisNames(local));
  // The computation takes the stage's place; the copy comes after it, under the old name.
  stages_[index] = MakeState(std::move(local));
  InsertStage(index + 1, std::move(copy));
  return absl::OkStatus();
}

absl::Status Schedule::CacheRead(const Step& step) {
  const ir::Buffer buffer = BufferNamed(step.stage);
  if (buffer == nullptr) return Invalid(step, "no such buffer");
  TESSERA_ASSIGN_OR_RETURN(const int consumer, FindStage(step.names[0]));
  if (!stages_[consumer].Reads(buffer)) {
    return Invalid(step, absl::StrCat("stage ", step.names[0], " does not read it"));
  }
  const ir::Buffer cache = ir::MakeBuffer(absl::StrCat(step.names[0], ".", buffer->name),
                                          buffer->type, buffer->shape, ir::Scope::kLocal);
  if (BufferNamed(cache->name) != nullptr) return Invalid(step, "is cached already");
  const int producer = StageNamed(step.stage);
  std::vector<std::string> names;
  for (size_t d = 0; d < buffer->shape.size(); ++d) names.push_back(absl::StrCat("d", d));
  if (producer >= 0) names = AxisNames(*stages_[producer].stage);
  te::Stage copy = CopyStage(buffer, cache, names);
  ReplaceStage(consumer, RedirectReads(*stages_[consumer].stage, buffer, cache));
  InsertStage(consumer, std::move(copy));
  return absl::OkStatus();
}

absl::Status Schedule::Rfactor(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  const StageState& state = stages_[index];
  const te::Stage& stage = *state.stage;
  if (!stage.is_reduction()) return Invalid(step, "rfactor needs a reduction");
  const int loop = state.LoopNamed(step.names[0]);
  if (loop < 0 || !state.loops[loop].is_reduction || state.loops[loop].digits.size() != 1) {
    return Invalid(step, absl::StrCat("no reduction loop ", step.names[0]));
  }
  const int spatial = static_cast<int>(stage.axes.size());
  const int axis = state.loops[loop].digits[0].axis;
  // The reduction axis as its loops: the factored one becomes spatial, the others stay.
  te::Stage partial = stage;
  partial.outputs.clear();
  partial.bodies.clear();
  partial.reduce_axes.clear();
  te::Stage total;
  total.combiner = stage.combiner;
  total.outputs = stage.outputs;
  ir::Expr value(0);
  int64_t covered = 1;
  te::Axis factored;
  std::vector<te::Axis> rest;
  for (const LoopState& l : state.loops) {
    if (l.digits.size() != 1) return Invalid(step, "must come before loops are fused");
    const Digit& digit = l.digits[0];
    if (digit.axis != axis) continue;
    te::Axis made{ir::MakeVar(l.name), *DigitExtent(state, digit)};
    value = value + ir::Expr(made.var) * ir::Expr(digit.stride);
    covered *= made.extent;
    if (l.name == step.names[0]) {
      factored = made;
    } else {
      rest.push_back(made);
    }
  }
  const te::Axis& reduced = stage.reduce_axes[axis - spatial];
  for (int r = 0; r < static_cast<int>(stage.reduce_axes.size()); ++r) {
    if (r + spatial != axis) {
      partial.reduce_axes.push_back(stage.reduce_axes[r]);
    } else {
      partial.reduce_axes.insert(partial.reduce_axes.end(), rest.begin(), rest.end());
    }
  }
  partial.axes.push_back(factored);
  if (partial.reduce_axes.empty()) {
    if (stage.outputs.size() > 1) {
      return Invalid(step, absl::StrCat("loop ", step.names[0],
                                        " is the only one that reduces; split it first"));
    }
    partial.combiner = te::Combiner::kNone;
  }
  std::vector<ir::Expr> indices;
  for (const te::Axis& a : stage.axes) {
    total.axes.push_back({ir::MakeVar(a.var->name), a.extent});
    indices.push_back(total.axes.back().var);
  }
  total.reduce_axes = {{ir::MakeVar(factored.var->name), factored.extent}};
  indices.push_back(total.reduce_axes[0].var);
  const ir::Expr inside =
      covered > reduced.extent ? ir::Lt(value, ir::Expr(reduced.extent)) : ir::Expr();
  for (size_t k = 0; k < stage.outputs.size(); ++k) {
    const ir::Buffer& output = stage.outputs[k];
    std::vector<int64_t> shape = output->shape;
    shape.push_back(factored.extent);
    const ir::Buffer buffer =
        ir::MakeBuffer(output->name + ".rf", output->type, shape, ir::Scope::kLocal);
    if (BufferNamed(buffer->name) != nullptr) return Invalid(step, "is factored already");
    ir::Expr body = ir::Substitute(stage.bodies[k], {reduced.var}, {value});
    if (inside) {
      body = ir::MakeSelect(inside, body,
                            te::Identity(stage.combiner, body.type(), static_cast<int>(k)));
    }
    partial.outputs.push_back(buffer);
    partial.bodies.push_back(body);
    total.bodies.push_back(ir::MakeLoad(buffer, indices));
  }
  stages_[index] = MakeState(std::move(partial));
  InsertStage(index + 1, std::move(total));
  return absl::OkStatus();
}

absl::Status Schedule::Winograd(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindUntouchedStage(step));
  const int64_t m = step.factors[0];
  absl::StatusOr<schedule::Winograd> rewritten = RewriteByWinograd(*stages_[index].stage, m);
  if (!rewritten.ok()) return Invalid(step, StdView(rewritten.status().message()));
  TESSERA_RETURN_IF_ERROR(ReplaceBy(step, index, std::move(rewritten->stages)));
  // Stages that steps make are named after those of the workload, with a dot behind.
  const std::string origin = step.stage.substr(0, step.stage.find('.'));
  double& factor = error_factors_.try_emplace(origin, 1).first->second;
  factor = std::max(factor, rewritten->error_factor);
  return absl::OkStatus();
}

absl::Status Schedule::Tensorize(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindUntouchedStage(step));
  const te::Instruction* instruction = te::InstructionNamed(step.names[0]);
  if (instruction == nullptr) {
    std::vector<std::string> known;
    for (const te::Instruction& i : te::Instructions()) known.push_back(i.name);
    return Invalid(step, absl::StrCat("no instruction ", step.names[0], "; known are ",
                                      absl::StrJoin(known, ", ")));
  }
  absl::StatusOr<std::vector<te::Stage>> stages =
      TensorStages(*stages_[index].stage, *instruction, inputs());
  if (!stages.ok()) return Invalid(step, StdView(stages.status().message()));
  return ReplaceBy(step, index, *std::move(stages));
}

absl::Status Schedule::External(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  const ThirdParty* provider = ThirdPartyNamed(step.names[0]);
  if (provider == nullptr) {
    return Invalid(
        step, absl::StrCat("no library ", step.names[0], "; known are ", NamesOf(ThirdParties())));
  }
  StageState& state = stages_[index];
  if (!state.provider.empty()) return Invalid(step, "is external already");
  const absl::Status callable = CheckCallable(*state.stage, provider->name);
  if (!callable.ok()) return Invalid(step, StdView(callable.message()));
  state.provider = provider->name;
  return absl::OkStatus();
}

absl::Status Schedule::ReplaceBy(const Step& step, int index, std::vector<te::Stage> stages) {
  for (const te::Stage& stage : stages) {
    if (stage.output() != stages_[index].stage->output() && BufferNamed(stage.name()) != nullptr) {
      return Invalid(step, absl::StrCat("there is a ", stage.name(), " already"));
    }
  }
  stages_[index] = MakeState(std::move(stages.back()));
  stages.pop_back();
  for (size_t i = 0; i < stages.size(); ++i) {
    InsertStage(index + static_cast<int>(i), std::move(stages[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<Schedule> ApplyTrace(const te::Dag& dag, const Trace& trace) {
  Schedule schedule(dag);
  TESSERA_RETURN_IF_ERROR(schedule.Apply(trace));
  return schedule;
}

}  // namespace tessera::schedule
