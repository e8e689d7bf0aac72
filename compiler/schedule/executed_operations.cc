#include "compiler/schedule/executed_operations.h"

#include <algorithm>

#include "base/status.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

absl::StatusOr<int64_t> ExecutedOperations(const te::Dag& dag, const Trace& trace) {
  const auto last =
      std::ranges::find(trace.rbegin(), trace.rend(), Primitive::kWinograd, &Step::primitive);
  if (last == trace.rend()) return te::ExecutedOperations(dag);
  Schedule schedule(dag);
  TESSERA_RETURN_IF_ERROR(schedule.Apply(Trace(trace.begin(), last.base())));
  te::Dag executed;
  executed.inputs = schedule.inputs();
  executed.outputs = dag.outputs;
  TESSERA_ASSIGN_OR_RETURN(const LoopStructure loops, InferBounds(schedule));
  for (const BoundStage& bound : loops.stages) {
    const te::Stage& stage = *schedule.stages()[bound.stage].stage;
    if (bound.is_constant) {
      for (const ir::Buffer& output : stage.outputs) executed.inputs.push_back({output, true});
    } else {
      executed.stages.push_back(stage);
    }
  }
  return te::ExecutedOperations(executed);
}

}  // namespace tessera::schedule
