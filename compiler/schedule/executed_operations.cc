#include "compiler/schedule/executed_operations.h"

#include "base/status.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::schedule {

absl::StatusOr<int64_t> ExecutedOperations(const te::Dag& dag, const Trace& trace) {
  Schedule schedule(dag);
  bool rewritten = false;
  for (const Step& step : trace) {
    if (step.primitive != Primitive::kWinograd) continue;
    TESSERA_RETURN_IF_ERROR(schedule.Apply(step));
    rewritten = true;
  }
  if (!rewritten) return te::ExecutedOperations(dag);
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
