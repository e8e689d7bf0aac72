#include "compiler/library/model_glue.h"

#include <map>
#include <utility>

#include "compiler/library/model_header.h"
#include "compiler/runtime/model.h"
#include "compiler/runtime/ops.h"

namespace tessera::library {
namespace {

using llvm::Constant;

int64_t RoundUp(int64_t bytes) {
  return (bytes + TESSERA_OP_ALIGNMENT - 1) / TESSERA_OP_ALIGNMENT * TESSERA_OP_ALIGNMENT;
}

// A tessera_model_place of what is no constant.
Constant* PlaceOf(const GlueModule& module, const ModelPlace& place) {
  const bool is_caller = place.kind == ModelPlace::Kind::kCaller;
  return module.Struct({module.Number(is_caller ? TESSERA_MODEL_CALLER : TESSERA_MODEL_ARENA),
                        module.Number(place.at)});
}

}  // namespace

void AddModel(const GlueModule& module, const LibraryModel& model, absl::Span<const CompiledOp> ops,
              const std::vector<Constant*>& tables, const std::vector<Constant*>& packings) {
  std::vector<Constant*> steps;
  int64_t packed_bytes = 0;
  // Steps that run one operator with the same constants share its packed block: those of a
  // recurrent layer do.
  std::map<std::pair<int, std::vector<int64_t>>, int64_t> packed;
  for (const LibraryModel::Step& step : model.steps) {
    const CompiledOp& op = ops[static_cast<size_t>(step.op)];
    std::vector<Constant*> arguments;
    std::vector<int64_t> constants;
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (op.inputs[i].is_constant) {
        constants.push_back(step.inputs[i].at);
      } else {
        arguments.push_back(PlaceOf(module, step.inputs[i]));
      }
    }
    const auto [block, is_new] = packed.try_emplace({step.op, constants}, packed_bytes);
    const int64_t packed_offset = block->second;
    if (op.has_constants()) {
      arguments.push_back(
          module.Struct({module.Number(TESSERA_MODEL_PACKED), module.Number(packed_offset)}));
      if (is_new) packed_bytes += RoundUp(op.packed_bytes);
    }
    const bool packs = op.has_constants() && is_new;
    arguments.push_back(PlaceOf(module, step.output));
    steps.push_back(module.Struct({tables[static_cast<size_t>(step.op)],
                                   module.Number(static_cast<int64_t>(arguments.size())),
                                   module.Array(arguments),
                                   packs ? packings[static_cast<size_t>(step.op)] : module.Null(),
                                   module.Number(static_cast<int64_t>(constants.size())),
                                   module.Numbers(constants), module.Number(packed_offset)}));
  }
  const size_t callers = model.inputs.size() + model.outputs.size();
  Constant* description =
      module.Global(module.Struct({module.Number(static_cast<int64_t>(callers)),
                                   module.Number(static_cast<int64_t>(steps.size())),
                                   module.Array(steps), module.Text(model.constants),
                                   module.Number(packed_bytes), module.Number(model.arena_bytes)}));
  const ModelNames names(model.name);
  module.Forward(names.create, 1, "tessera_model_create", description);
  module.Forward(names.run, callers + 2, "tessera_model_run", description);
  module.Call(names.destroy, {module.pointer()}, module.Nothing(), "tessera_model_destroy",
              nullptr);
  module.Return(names.workspace_bytes, module.Number(model.arena_bytes));
}

}  // namespace tessera::library
