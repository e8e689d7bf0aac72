#include "compiler/schedule/executed_operations.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/status.h"
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
  absl::flat_hash_set<const ir::BufferNode*> constants;
  for (const te::Input& input : executed.inputs) {
    if (input.is_constant) constants.insert(input.buffer.get());
  }
  for (const StageState& state : schedule.stages()) {
    const std::vector<const ir::BufferNode*>& reads = state.analysis->read_buffers;
    const bool is_constant =
        !reads.empty() && std::all_of(reads.begin(), reads.end(), [&](const ir::BufferNode* read) {
          return constants.contains(read);
        });
    if (is_constant) {
      for (const ir::Buffer& output : state.stage->outputs) {
        constants.insert(output.get());
        executed.inputs.push_back({output, true});
      }
    } else {
      executed.stages.push_back(*state.stage);
    }
  }
  return te::ExecutedOperations(executed);
}

}  // namespace tessera::schedule
