#include "compiler/schedule/loop_structure.h"

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "base/status.h"
#include "compiler/ir/threads.h"
#include "compiler/schedule/external.h"

namespace tessera::schedule {
namespace {

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

bool SameTerm(const LoopTerm& a, const LoopTerm& b) {
  return a.loop == b.loop && a.divisor == b.divisor && a.extent == b.extent;
}

void AddTerm(AffineValue& value, const LoopTerm& term, int64_t factor) {
  if (term.extent == 1) return;
  for (LoopTerm& known : value.terms) {
    if (SameTerm(known, term)) {
      known.coefficient += factor * term.coefficient;
      return;
    }
  }
  value.terms.push_back(term);
  value.terms.back().coefficient *= factor;
}

bool SameTerms(const AffineValue& a, const AffineValue& b) {
  if (a.terms.size() != b.terms.size()) return false;
  return std::all_of(a.terms.begin(), a.terms.end(), [&](const LoopTerm& term) {
    return std::any_of(b.terms.begin(), b.terms.end(), [&](const LoopTerm& other) {
      return SameTerm(term, other) && term.coefficient == other.coefficient;
    });
  });
}

class Binder {
 public:
  explicit Binder(const Schedule& schedule)
      : schedule_(schedule), position_(schedule.stages().size(), -1) {}

  absl::StatusOr<LoopStructure> Run() {
    const std::vector<StageState>& stages = schedule_.stages();
    bound_.reserve(stages.size());
    // Consumers first: a producer's region follows from them.
    for (int i = static_cast<int>(stages.size()) - 1; i >= 0; --i) {
      if (stages[i].placement == Placement::kInlined) continue;
      TESSERA_ASSIGN_OR_RETURN(BoundStage bound, Bind(i));
      position_[i] = static_cast<int>(bound_.size());
      bound_.push_back(std::move(bound));
    }
    LoopStructure structure;
    structure.loop_count = loop_count_;
    structure.stages.reserve(bound_.size());
    const int last = static_cast<int>(bound_.size()) - 1;
    for (int i = last; i >= 0; --i) {
      BoundStage& stage = bound_[i];
      if (stage.at >= 0) stage.at = last - stage.at;
      structure.stages.push_back(std::move(stage));
    }
    MarkConstants(structure);
    return structure;
  }

 private:
  absl::StatusOr<BoundStage> Bind(int index) {
    const StageState& state = schedule_.stages()[index];
    const te::Stage& stage = *state.stage;
    BoundStage bound;
    bound.stage = index;
    bound.axes.reserve(state.axis_count());
    bound.buffer_shape.reserve(stage.axes.size());
    for (const te::Axis& axis : stage.axes) bound.axes.push_back({{}, axis.extent, false});
    for (const te::Axis& axis : stage.reduce_axes) bound.axes.push_back({{}, axis.extent, false});
    if (state.placement == Placement::kAt) TESSERA_RETURN_IF_ERROR(InferRegion(state, bound));
    bound.scope = schedule_.MakesOutput(stage)                     ? ir::Scope::kGlobal
                  : bound.at < 0                                   ? ir::Scope::kWorkspace
                  : std::ranges::any_of(state.loops, RunsByThread) ? ir::Scope::kShared
                                                                   : ir::Scope::kLocal;
    if (state.is_doubled && bound.at < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "double_buffer ", stage.name(), ": only what is computed inside of a loop has turns"));
    }
    if (state.is_doubled) {
      const StageState& reader = schedule_.stages()[state.at_stage];
      const LoopState& around = reader.loops[reader.LoopNamed(state.at_loop)];
      // Of virtual threads that share nothing each has copies of its own, by the turns of the loops
      // around them.
      const bool is_of_each =
          around.thread_axis == ir::ThreadAxis::kVirtual && bound.scope == ir::Scope::kLocal;
      if (around.kind != ir::LoopKind::kSerial && !is_of_each) {
        return absl::InvalidArgumentError(absl::StrCat(
            "double_buffer ", stage.name(), ": loop ", around.name, " of ", reader.stage->name(),
            ", which it is computed in, is ", std::string(ir::ToString(around.kind)),
            "; only loops in order have turns"));
      }
    }
    if (state.at_stage >= 0 && !schedule_.stages()[state.at_stage].provider.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "compute_at ", stage.name(), ": ", schedule_.stages()[state.at_stage].stage->name(),
          " is external, and nothing is computed inside of a call"));
    }
    const Spans spans = BindLoops(state, bound);
    if (!state.provider.empty()) TESSERA_RETURN_IF_ERROR(CheckExternal(schedule_, bound));
    for (size_t d = 0; d < stage.axes.size(); ++d)
      bound.buffer_shape.push_back(bound.axes[d].extent);
    if (stage.is_reduction() && bound.scope == ir::Scope::kLocal) RoundUpToVectors(bound, spans);
    return bound;
  }

  const te::Stage& Definition(const BoundStage& bound) const {
    return *schedule_.stages()[bound.stage].stage;
  }
  const std::vector<const ir::BufferNode*>& Reads(const BoundStage& bound) const {
    return schedule_.stages()[bound.stage].analysis->read_buffers;
  }

  void MarkConstants(LoopStructure& structure) const {
    std::vector<const ir::BufferNode*> constants;
    for (const te::Input& input : schedule_.inputs()) {
      if (input.is_constant) constants.push_back(input.buffer.get());
    }
    if (constants.empty()) return;
    const auto is_constant = [&](const ir::BufferNode* buffer) {
      return std::find(constants.begin(), constants.end(), buffer) != constants.end();
    };
    for (BoundStage& bound : structure.stages) {
      const auto& reads = Reads(bound);
      if (reads.empty() || bound.scope == ir::Scope::kGlobal ||
          !std::all_of(reads.begin(), reads.end(), is_constant)) {
        continue;
      }
      bound.is_constant = true;
      for (const ir::Buffer& output : Definition(bound).outputs) constants.push_back(output.get());
    }
    const size_t passed = schedule_.inputs().size() + schedule_.outputs().size();
    while (MarkPrepared(structure) + passed > kMaxKernelBuffers) {
      const auto last =
          std::find_if(structure.stages.rbegin(), structure.stages.rend(),
                       [](const BoundStage& bound) { return bound.at < 0 && bound.is_constant; });
      if (last == structure.stages.rend()) return;
      last->is_constant = false;
      last->scope = ir::Scope::kWorkspace;
    }
  }

  // Of what is constant, what is inside of another stage stays so only if that is, and what runs
  // read becomes kGlobal. Returns how many buffers runs read.
  size_t MarkPrepared(LoopStructure& structure) const {
    size_t prepared = 0;
    std::vector<const ir::BufferNode*> read_in_runs;
    for (size_t i = structure.stages.size(); i-- > 0;) {
      BoundStage& bound = structure.stages[i];
      if (bound.at >= 0 && !structure.stages[bound.at].is_constant) bound.is_constant = false;
      if (!bound.is_constant) {
        read_in_runs.insert(read_in_runs.end(), Reads(bound).begin(), Reads(bound).end());
        continue;
      }
      const auto& outputs = Definition(bound).outputs;
      const bool runs_read =
          std::any_of(outputs.begin(), outputs.end(), [&](const ir::Buffer& output) {
            return std::find(read_in_runs.begin(), read_in_runs.end(), output.get()) !=
                   read_in_runs.end();
          });
      if (!runs_read) continue;
      bound.scope = ir::Scope::kGlobal;
      prepared += outputs.size();
    }
    return prepared;
  }

  // Whether a block makes what a stage of this loop computes.
  static bool RunsByThread(const LoopState& loop) { return ir::IsThreadAxis(loop.thread_axis); }

  // Loops around the body of `bound`'s loop `depth`, its own included: those that are fixed while
  // a stage attached there runs. What a block shares is the same for all of its threads.
  void CollectFixed(const BoundStage& bound, int depth, bool is_shared,
                    absl::InlinedVector<bool, 64>& fixed) const {
    for (int d = 0; d <= depth; ++d) {
      const ir::ThreadAxis axis = bound.loops[d].thread_axis;
      const bool moves = ir::IsThreadAxis(axis) || axis == ir::ThreadAxis::kVirtual;
      fixed[bound.loops[d].id] = !is_shared || !moves;
    }
    if (bound.at >= 0) CollectFixed(bound_[bound.at], bound.at_depth, is_shared, fixed);
  }

  // Whether `bound` runs inside the body of loop `depth` of bound stage `at`.
  bool RunsInside(const BoundStage& bound, int at, int depth) const {
    for (const BoundStage* b = &bound; b->at >= 0; b = &bound_[b->at]) {
      if (b->at == at && b->at_depth >= depth) return true;
    }
    return false;
  }

  // Turns the sum's region, what is fixed (`outer`) and what is not, into that of its quotient or
  // remainder. False where the part that moves within one multiple of the divisor is not known to
  // stay there.
  static bool TakeDigit(const AxisForm& form, AffineValue& outer, Range& span) {
    AffineValue multiples, rest;
    for (const LoopTerm& term : outer.terms) {
      (term.coefficient % form.divisor == 0 ? multiples : rest).terms.push_back(term);
    }
    Range sum = RangeOf(rest);
    sum.min += span.min;
    sum.max += span.max;
    const Range quotient{FloorDiv(sum.min, form.divisor), FloorDiv(sum.max, form.divisor)};
    if (form.is_remainder) {
      if (quotient.min != quotient.max) return false;
      outer = std::move(rest);
      span.min -= quotient.min * form.divisor;
      span.max -= quotient.min * form.divisor;
      return true;
    }
    if (!rest.terms.empty() && quotient.min != quotient.max) return false;
    for (LoopTerm& term : multiples.terms) term.coefficient /= form.divisor;
    outer = std::move(multiples);
    span = quotient;
    return true;
  }

  absl::Status InferRegion(const StageState& state, BoundStage& bound) {
    const std::string& name = state.stage->name();
    bound.at = position_[state.at_stage];
    if (bound.at < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("compute_at ", name, ": its consumer has been inlined"));
    }
    const BoundStage& at = bound_[bound.at];
    bound.at_depth = schedule_.stages()[state.at_stage].LoopNamed(state.at_loop);
    if (bound.at_depth < 0) {
      return absl::InvalidArgumentError(absl::StrCat("compute_at ", name, ": loop ", state.at_loop,
                                                     " of its consumer no longer exists"));
    }
    absl::InlinedVector<bool, 64> fixed(loop_count_, false);
    CollectFixed(at, bound.at_depth, std::ranges::any_of(state.loops, RunsByThread), fixed);

    absl::InlinedVector<Need, 8> needs(state.stage->axes.size());
    for (const BoundStage& consumer : bound_) {
      if (!AddNeeds(*state.stage, consumer, fixed, absl::MakeSpan(needs))) continue;
      if (&consumer != &at && !RunsInside(consumer, bound.at, bound.at_depth)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "compute_at ", name, ": stage ", schedule_.stages()[consumer.stage].stage->name(),
            " reads it outside of loop ", state.at_loop));
      }
    }
    for (size_t d = 0; d < needs.size(); ++d) {
      const Need& need = needs[d];
      const int64_t extent = state.stage->axes[d].extent;
      if (!need.seen || need.whole || need.reach.max - need.reach.min + 1 >= extent) continue;
      AxisRange& axis = bound.axes[d];
      axis.base = need.base;
      axis.base.constant = need.reach.min;
      axis.extent = need.reach.max - need.reach.min + 1;
      const Range range = RangeOf(axis.base);
      axis.guarded = range.min < 0 || range.max + axis.extent > extent;
    }
    return absl::OkStatus();
  }

  // What readers need of one axis of a producer: `reach` around the terms of loops that are fixed
  // while it runs, or all of it.
  struct Need {
    bool seen = false, whole = false;
    AffineValue base;
    Range reach = {0, 0};
  };

  // Adds what `consumer` reads of `producer`; false if it reads nothing.
  bool AddNeeds(const te::Stage& producer, const BoundStage& consumer, absl::Span<const bool> fixed,
                absl::Span<Need> needs) const {
    std::optional<AxisValues> values;
    const StageAnalysis& analysis = *schedule_.stages()[consumer.stage].analysis;
    for (const Window& window : analysis.windows) {
      const Access& access = analysis.reads[window.read];
      const auto& outputs = producer.outputs;
      if (std::find(outputs.begin(), outputs.end(), access.buffer) == outputs.end()) continue;
      if (!values) values = ValuesOfAxes(consumer);
      for (size_t d = 0; d < needs.size(); ++d) {
        Need& need = needs[d];
        if (!access.dims[d].affine && access.dims[d].divisor == 0) {
          need.whole = true;
          continue;
        }
        const AxisForm& form = access.dims[d];
        AffineValue index;
        index.constant = form.constant;
        for (const auto& [axis, coefficient] : form.affine ? form.terms : form.dividend) {
          index.constant += coefficient * (*values)[axis].constant;
          for (const LoopTerm& term : (*values)[axis].terms) AddTerm(index, term, coefficient);
        }
        AffineValue outer;
        Range span{index.constant, index.constant};
        for (const LoopTerm& term : index.terms) {
          if (term.coefficient == 0) continue;
          if (fixed[term.loop]) {
            outer.terms.push_back(term);
          } else {
            const int64_t reach = term.coefficient * (term.extent - 1);
            (reach < 0 ? span.min : span.max) += reach;
          }
        }
        if (form.divisor != 0 && !TakeDigit(form, outer, span)) {
          need.whole = true;
          continue;
        }
        span.min += window.offsets[d].first;
        span.max += window.offsets[d].second;
        if (!need.seen) {
          need.seen = true;
          need.base = std::move(outer);
          need.reach = span;
        } else if (SameTerms(need.base, outer)) {
          need.reach = {std::min(need.reach.min, span.min), std::max(need.reach.max, span.max)};
        } else {
          need.whole = true;
        }
      }
    }
    return values.has_value();
  }

  // Of each axis, how many positions the stage's loops count over.
  using Spans = absl::InlinedVector<int64_t, 12>;

  Spans BindLoops(const StageState& state, BoundStage& bound) {
    Spans span(bound.axes.size(), 1);
    bound.loops.reserve(state.loops.size());
    for (const LoopState& loop : state.loops) {
      BoundLoop made{loop_count_++, 1, loop.is_reduction, loop.kind, loop.thread_axis, loop.digits};
      for (Digit& digit : made.digits) {
        if (digit.extent == 0) {
          digit.extent = (bound.axes[digit.axis].extent + digit.stride - 1) / digit.stride;
        }
        made.extent *= digit.extent;
        span[digit.axis] += digit.stride * (digit.extent - 1);
      }
      bound.loops.push_back(std::move(made));
    }
    for (size_t a = 0; a < bound.axes.size(); ++a) {
      if (span[a] > bound.axes[a].extent) bound.axes[a].guarded = true;
    }
    return span;
  }

  // Where the last vectors along an axis end, as far as loops go.
  static void RoundUpToVectors(BoundStage& bound, const Spans& spans) {
    for (const BoundLoop& loop : bound.loops) {
      if (loop.kind != ir::LoopKind::kVectorized || loop.is_reduction || loop.digits.size() != 1) {
        continue;
      }
      const Digit& digit = loop.digits[0];
      const int64_t reach = digit.extent * digit.stride;
      int64_t& extent = bound.buffer_shape[digit.axis];
      extent = std::min((extent + reach - 1) / reach * reach, spans[digit.axis]);
    }
  }

  const Schedule& schedule_;
  std::vector<int> position_;      // of a stage in bound_
  std::vector<BoundStage> bound_;  // consumers first
  int loop_count_ = 0;
};

}  // namespace

Range RangeOf(const AffineValue& value) {
  Range range{value.constant, value.constant};
  for (const LoopTerm& term : value.terms) {
    const int64_t reach = term.coefficient * (term.extent - 1);
    (reach < 0 ? range.min : range.max) += reach;
  }
  return range;
}

StorageOrder ChosenLayout(const Schedule& schedule, const BoundStage& stage,
                          const ir::Buffer& buffer) {
  const std::vector<ir::LayoutDim>& of_all = schedule.LayoutOf(buffer);
  if (stage.at >= 0 && of_all == buffer->layout) return {};
  StorageOrder layout(of_all.begin(), of_all.end());
  if (stage.at < 0) return layout;
  for (ir::LayoutDim& dim : layout) {
    const bool is_coarsest =
        std::none_of(layout.begin(), layout.end(), [&](const ir::LayoutDim& other) {
          return other.axis == dim.axis && other.divisor > dim.divisor;
        });
    const int64_t extent = stage.buffer_shape[dim.axis];
    if (!is_coarsest) continue;
    dim.extent = (extent + dim.divisor - 1) / dim.divisor + ir::LayoutGap(dim, buffer->shape);
  }
  return layout;
}

AxisValues ValuesOfAxes(const BoundStage& stage) {
  AxisValues values;
  for (const AxisRange& axis : stage.axes) values.push_back(axis.base);
  for (const BoundLoop& loop : stage.loops) {
    int64_t divisor = 1;
    for (size_t i = loop.digits.size(); i-- > 0;) {
      const Digit& digit = loop.digits[i];
      if (digit.extent > 1) {
        values[digit.axis].terms.push_back({loop.id, divisor, digit.extent, digit.stride});
      }
      divisor *= digit.extent;
    }
  }
  return values;
}

absl::StatusOr<LoopStructure> InferBounds(const Schedule& schedule) {
  return Binder(schedule).Run();
}

uint64_t LoopHash(const Schedule& schedule, const LoopStructure& loops) {
  StableHasher hasher;
  const auto add = [&hasher](int64_t value) { hasher.Add(static_cast<uint64_t>(value)); };
  // Loops of extent 1 don't count, so loops are numbered without them.
  std::vector<int> number(loops.loop_count, -1);
  int next = 0;
  for (const BoundStage& stage : loops.stages) {
    for (const BoundLoop& loop : stage.loops) {
      if (loop.extent > 1) number[loop.id] = next++;
    }
  }
  const auto add_layout = [&](const ir::Buffer& buffer) {
    for (const ir::LayoutDim& dim : schedule.LayoutOf(buffer)) {
      if (dim.extent == 1) continue;
      add(dim.axis);
      add(dim.divisor);
      add(dim.extent);
    }
    add(-1);
  };
  for (const te::Input& input : schedule.inputs()) {
    add_layout(input.buffer);
    const ir::ReadPath path = schedule.ReadPathOf(input.buffer);
    if (path != ir::ReadPath::kPlain) add(-6 - static_cast<int64_t>(path));
  }
  for (const BoundStage& stage : loops.stages) {
    const StageState& state = schedule.stages()[stage.stage];
    hasher.Add(state.analysis->definition_hash);
    add_layout(state.stage->output());
    for (const BoundLoop& loop : stage.loops) {
      if (loop.extent == 1) continue;
      add(static_cast<int64_t>(loop.kind));
      add(static_cast<int64_t>(loop.thread_axis));
      for (const Digit& digit : loop.digits) {
        if (digit.extent == 1) continue;
        add(digit.axis);
        add(digit.stride);
        add(digit.extent);
      }
      add(-2);
    }
    for (const AxisRange& axis : stage.axes) {
      add(axis.extent);
      add(axis.base.constant);
      for (const LoopTerm& term : axis.base.terms) {
        add(number[term.loop]);
        add(term.divisor);
        add(term.extent);
        add(term.coefficient);
      }
    }
    if (state.streams) add(-3);
    if (state.is_doubled) add(-5);
    if (state.prefetch > 0) {
      add(-4);
      add(state.prefetch);
    }
    if (!state.provider.empty()) {
      add(-9);
      hasher.Add(state.provider);
    }
    add(stage.at);
    if (stage.at >= 0) {
      int depth = 0;
      for (int d = 0; d <= stage.at_depth; ++d) {
        depth += loops.stages[stage.at].loops[d].extent > 1 ? 1 : 0;
      }
      add(depth);
    }
  }
  return hasher.Finish();
}

}  // namespace tessera::schedule
