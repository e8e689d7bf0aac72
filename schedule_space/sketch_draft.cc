#include "schedule_space/sketch_draft.h"

#include <algorithm>

#include "schedule_space/steps.h"

namespace tessera::space {

using schedule::Schedule;
using schedule::StageState;

int64_t Points(const te::Stage& stage) {
  int64_t points = 1;
  for (const te::Axis& axis : stage.axes) points *= axis.extent;
  for (const te::Axis& axis : stage.reduce_axes) points *= axis.extent;
  return points;
}

bool IsPadding(const StageState& state) {
  return !state.stage->is_reduction() && state.analysis->operations.select > 0 &&
         state.analysis->reads.size() == 1;
}

Draft Inline(const te::Dag& dag, Draft draft, bool keep_padding) {
  for (size_t i = 0; i < draft.schedule.stages().size(); ++i) {
    const StageState& state = draft.schedule.stages()[i];
    if (dag.StageOf(state.stage->output()) < 0) continue;
    if (state.stage->is_reduction() || draft.schedule.IsOutput(state.stage->output())) continue;
    if (keep_padding && IsPadding(state)) continue;
    const std::vector<int> consumers = draft.schedule.Consumers(static_cast<int>(i));
    bool repeats = consumers.size() > 1;
    for (int consumer : consumers) {
      repeats |= Points(*draft.schedule.stages()[consumer].stage) > Points(*state.stage);
    }
    const schedule::OperationCounts& work = state.analysis->operations;
    if (repeats && work.float_math + work.float_div > 0) continue;
    draft.Do(InlineStep(state.stage->name())).IgnoreError();
  }
  return draft;
}

Draft Inline(const te::Dag& dag, bool keep_padding) {
  return Inline(dag, {Schedule(dag), {}}, keep_padding);
}

std::vector<int> Live(const Schedule& schedule) {
  std::vector<int> live;
  for (size_t i = 0; i < schedule.stages().size(); ++i) {
    if (schedule.stages()[i].placement != schedule::Placement::kInlined) {
      live.push_back(static_cast<int>(i));
    }
  }
  return live;
}

int64_t Reuse(const te::Stage& stage, const ir::BufferNode& buffer) {
  return Points(stage) / std::max<int64_t>(1, buffer.ElementCount());
}

}  // namespace tessera::space
