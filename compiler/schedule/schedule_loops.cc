// Primitives that place, cut, order and annotate the loops of a stage; those that change stages are
// in schedule.cc.

#include <algorithm>

#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/schedule/digits.h"
#include "compiler/schedule/invalid_step.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

absl::Status Schedule::ComputeAt(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  TESSERA_ASSIGN_OR_RETURN(const int consumer, FindStage(step.names[0]));
  const StageState& at = stages_[consumer];
  if (consumer <= index) {
    return Invalid(step, absl::StrCat(step.names[0], " does not come after it"));
  }
  if (at.LoopNamed(step.names[1]) < 0) {
    return Invalid(step, absl::StrCat("stage ", step.names[0], " has no loop ", step.names[1]));
  }
  if (MakesOutput(*stages_[index].stage)) {
    return Invalid(step, "an output is computed at the root");
  }
  StageState& state = stages_[index];
  for (const LoopState& loop : state.loops) {
    if (loop.kind == ir::LoopKind::kParallel) {
      return Invalid(step, absl::StrCat("loop ", loop.name, " is parallel, as at the root alone"));
    }
    for (const Digit& digit : loop.digits) {
      if (loop.digits.size() > 1 && digit.axis < static_cast<int>(state.stage->axes.size())) {
        return Invalid(step, "must come before the stage's loops are fused");
      }
    }
  }
  state.placement = Placement::kAt;
  state.at_stage = consumer;
  state.at_loop = step.names[1];
  return absl::OkStatus();
}

absl::Status Schedule::Split(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  const int at = state.LoopNamed(step.names[0]);
  if (at < 0) return Invalid(step, absl::StrCat("no loop ", step.names[0]));
  const LoopState& original = state.loops[at];
  if (original.kind != ir::LoopKind::kSerial) {
    return Invalid(step, absl::StrCat("loop ", step.names[0], " is annotated already"));
  }
  std::vector<LoopState> parts(step.factors.size() + 1, original);
  for (size_t i = parts.size() - 1; i > 0; --i) {
    absl::StatusOr<DigitSplit> split = SplitDigits(state, parts[0].digits, step.factors[i - 1]);
    if (!split.ok()) return Invalid(step, StdView(split.status().message()));
    parts[i].digits = std::move(split->inner);
    parts[0].digits = std::move(split->outer);
  }
  for (size_t i = 0; i < parts.size(); ++i) parts[i].name = absl::StrCat(original.name, ".", i);
  state.loops.erase(state.loops.begin() + at);
  state.loops.insert(state.loops.begin() + at, parts.begin(), parts.end());
  return absl::OkStatus();
}

absl::Status Schedule::Fuse(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  const int at = state.LoopNamed(step.names[0]);
  if (at < 0) return Invalid(step, absl::StrCat("no loop ", step.names[0]));
  LoopState fused = state.loops[at];
  for (size_t i = 1; i < step.names.size(); ++i) {
    const size_t next = static_cast<size_t>(at) + i;
    if (next >= state.loops.size() || state.loops[next].name != step.names[i]) {
      return Invalid(
          step, absl::StrCat("loop ", step.names[i], " is not next inside ", step.names[i - 1]));
    }
    const LoopState& inner = state.loops[next];
    if (inner.is_reduction != fused.is_reduction) {
      return Invalid(step, "a reduction loop can't be fused with a spatial one");
    }
    if (inner.kind != ir::LoopKind::kSerial || fused.kind != ir::LoopKind::kSerial) {
      return Invalid(step, "annotated loops can't be fused");
    }
    fused.digits.insert(fused.digits.end(), inner.digits.begin(), inner.digits.end());
  }
  fused.name = absl::StrJoin(step.names, "+");
  state.loops[at] = std::move(fused);
  state.loops.erase(state.loops.begin() + at + 1, state.loops.begin() + at + step.names.size());
  return absl::OkStatus();
}

absl::Status Schedule::Reorder(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  if (step.names.size() != state.loops.size()) {
    return Invalid(step, absl::StrCat("names ", step.names.size(), " loops; the stage has ",
                                      state.loops.size()));
  }
  std::vector<LoopState> ordered;
  std::vector<bool> used(state.loops.size(), false);
  for (const std::string& name : step.names) {
    const int at = state.LoopNamed(name);
    if (at < 0 || used[at]) return Invalid(step, absl::StrCat("no (further) loop ", name));
    used[at] = true;
    ordered.push_back(state.loops[at]);
  }
  state.loops = std::move(ordered);
  return absl::OkStatus();
}

absl::Status Schedule::Annotate(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  const int at = state.LoopNamed(step.names[0]);
  if (at < 0) return Invalid(step, absl::StrCat("no loop ", step.names[0]));
  LoopState& loop = state.loops[at];
  if (loop.kind != ir::LoopKind::kSerial) {
    return Invalid(step, absl::StrCat("loop ", loop.name, " is annotated already"));
  }
  if (loop.is_reduction && step.primitive != Primitive::kUnroll &&
      step.primitive != Primitive::kVectorize) {
    return Invalid(step, absl::StrCat("loop ", loop.name, " reduces; use rfactor first"));
  }
  switch (step.primitive) {
    case Primitive::kVectorize:
      loop.kind = ir::LoopKind::kVectorized;
      break;
    case Primitive::kUnroll:
      loop.kind = ir::LoopKind::kUnrolled;
      break;
    case Primitive::kParallel:
      if (at != 0 || state.placement != Placement::kRoot) {
        return Invalid(
            step, absl::StrCat("loop ", loop.name, " is not the outermost loop of a root stage"));
      }
      loop.kind = ir::LoopKind::kParallel;
      break;
    default: {
      constexpr ir::ThreadAxis kAxes[] = {ir::ThreadAxis::kBlockX,  ir::ThreadAxis::kBlockY,
                                          ir::ThreadAxis::kBlockZ,  ir::ThreadAxis::kThreadX,
                                          ir::ThreadAxis::kThreadY, ir::ThreadAxis::kThreadZ,
                                          ir::ThreadAxis::kVirtual};
      for (ir::ThreadAxis axis : kAxes) {
        if (ir::ToString(axis) == step.names[1]) {
          for (const LoopState& other : state.loops) {
            if (other.thread_axis != axis) continue;
            return Invalid(step, absl::StrCat("loop ", other.name, " is bound to ", step.names[1],
                                              "; fuse the two"));
          }
          loop.kind = ir::LoopKind::kThread;
          loop.thread_axis = axis;
          return absl::OkStatus();
        }
      }
      return Invalid(step, absl::StrCat("unknown thread axis ", step.names[1]));
    }
  }
  return absl::OkStatus();
}

absl::Status Schedule::Stream(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  if (state.stage->is_reduction()) {
    return Invalid(step, "a reduction reads its results again; use cache_write first");
  }
  if (!IsOutput(state.stage->output())) return Invalid(step, "is not an output");
  const std::vector<int> consumers = Consumers(index);
  if (!consumers.empty()) {
    return Invalid(step, absl::StrCat("is read again by ", stages_[consumers[0]].stage->name()));
  }
  if (state.streams) return Invalid(step, "streams already");
  state.streams = true;
  return absl::OkStatus();
}

absl::Status Schedule::DoubleBuffer(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  if (state.stage->is_reduction()) return Invalid(step, "a reduction is not loaded ahead");
  if (state.is_doubled) return Invalid(step, "is doubled already");
  state.is_doubled = true;
  return absl::OkStatus();
}

absl::Status Schedule::Prefetch(const Step& step) {
  TESSERA_ASSIGN_OR_RETURN(const int index, FindStage(step.stage));
  StageState& state = stages_[index];
  const int64_t iterations = step.factors[0];
  if (iterations > kMaxPrefetch) {
    return Invalid(step, absl::StrCat(iterations, " iterations; at most ", kMaxPrefetch));
  }
  if (state.prefetch > 0) return Invalid(step, "prefetches already");
  state.prefetch = static_cast<int>(iterations);
  return absl::OkStatus();
}

}  // namespace tessera::schedule
