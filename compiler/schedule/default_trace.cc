#include "compiler/schedule/default_trace.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {
namespace {

bool IsOutput(const Schedule& schedule, const ir::Buffer& buffer) {
  return std::find(schedule.outputs().begin(), schedule.outputs().end(), buffer) !=
         schedule.outputs().end();
}

// Applies `step` and writes it down. Every step made here is valid by construction.
void Do(Schedule& schedule, Trace& trace, Step step) {
  TESSERA_CHECK(schedule.Apply(step).ok());
  trace.push_back(std::move(step));
}

void InlineCheapStages(Schedule& schedule, Trace& trace) {
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    const StageState& state = schedule.stages()[i];
    const std::string name = state.stage->name();
    if (state.stage->is_reduction() || IsOutput(schedule, state.stage->output())) continue;
    const bool recomputes = schedule.Consumers(static_cast<int>(i)).size() > 1;
    if (recomputes && state.analysis->operations.float_math > 0) continue;
    Do(schedule, trace, {Primitive::kInline, name, {}, {}, {}});
  }
}

// Vector over the innermost axis that has any extent, reductions just outside of it, everything
// else outside in order, fused and shared out among threads.
void ScheduleStage(Schedule& schedule, Trace& trace, int index, const ir::Target& target) {
  const te::Stage& stage = *schedule.stages()[index].stage;
  const std::string name = stage.name();
  const int lanes = target.Lanes(std::max<int>(8, stage.output()->type.bits));
  std::vector<std::string> outer, reductions;
  std::string vector_axis;
  for (size_t a = stage.axes.size(); a-- > 0;) {
    const te::Axis& axis = stage.axes[a];
    if (vector_axis.empty() && axis.extent > 1) {
      vector_axis = axis.var->name;
    } else {
      outer.insert(outer.begin(), axis.var->name);
    }
  }
  for (const te::Axis& axis : stage.reduce_axes) reductions.push_back(axis.var->name);
  std::vector<std::string> order = outer;
  std::string vector_loop = vector_axis;
  if (!vector_axis.empty()) {
    const int at = schedule.stages()[index].LoopNamed(vector_axis);
    const Digit digit = schedule.stages()[index].loops[at].digits[0];
    if (stage.axes[digit.axis].extent > lanes) {
      Do(schedule, trace, {Primitive::kSplit, name, {vector_axis}, {lanes}, {}});
      order.push_back(absl::StrCat(vector_axis, ".0"));
      vector_loop = absl::StrCat(vector_axis, ".1");
    }
  }
  order.insert(order.end(), reductions.begin(), reductions.end());
  if (!vector_loop.empty()) order.push_back(vector_loop);
  if (order.size() > 1) Do(schedule, trace, {Primitive::kReorder, name, order, {}, {}});
  if (!vector_loop.empty()) {
    Do(schedule, trace, {Primitive::kVectorize, name, {vector_loop}, {}, {}});
  }
  if (target.max_threads == 1 || order[0] == vector_loop) return;
  if (!reductions.empty() && order[0] == reductions[0]) return;
  std::string parallel = order[0];
  if (outer.size() > 1) {
    Do(schedule, trace, {Primitive::kFuse, name, outer, {}, {}});
    parallel = outer[0];
    for (size_t i = 1; i < outer.size(); ++i) absl::StrAppend(&parallel, "+", outer[i]);
  }
  Do(schedule, trace, {Primitive::kParallel, name, {parallel}, {}, {}});
}

}  // namespace

Trace DefaultTrace(const te::Dag& dag, const ir::Target& target) {
  Schedule schedule(dag);
  Trace trace;
  InlineCheapStages(schedule, trace);
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    if (schedule.stages()[i].placement == Placement::kInlined) continue;
    ScheduleStage(schedule, trace, static_cast<int>(i), target);
  }
  return trace;
}

}  // namespace tessera::schedule
