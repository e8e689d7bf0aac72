#include "compiler/library/model_glue.h"

#include "compiler/library/model_header.h"
#include "compiler/runtime/model.h"
#include "compiler/runtime/ops.h"

namespace tessera::library {
namespace {

using llvm::Constant;

// A tessera_model_place of what is no constant.
Constant* PlaceOf(const GlueModule& module, const ModelPlace& place) {
  const bool is_caller = place.kind == ModelPlace::Kind::kCaller;
  return module.Struct({module.Number(is_caller ? TESSERA_MODEL_CALLER : TESSERA_MODEL_ARENA),
                        module.Number(place.at)});
}

}  // namespace

void AddModel(const GlueModule& module, const LibraryModel& model, const CompiledModel& compiled,
              absl::Span<const CompiledOp> ops, const std::vector<Constant*>& tables,
              const std::vector<Constant*>& packings) {
  std::vector<Constant*> steps;
  for (size_t s = 0; s < model.steps.size(); ++s) {
    const LibraryModel::Step& step = model.steps[s];
    const CompiledModel::Step& made = compiled.steps[s];
    const auto number = static_cast<size_t>(step.op);
    const CompiledOp& op = ops[number];
    std::vector<Constant*> arguments;
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (!op.inputs[i].is_constant) arguments.push_back(PlaceOf(module, step.inputs[i]));
    }
    if (op.has_constants()) {
      arguments.push_back(module.Struct(
          {module.Number(made.is_made_by_create ? TESSERA_MODEL_PACKED : TESSERA_MODEL_CONSTANT),
           module.Number(made.packed_at)}));
    }
    arguments.push_back(PlaceOf(module, step.output));
    steps.push_back(
        module.Struct({tables[number], module.Number(static_cast<int64_t>(arguments.size())),
                       module.Array(arguments), made.packs ? packings[number] : module.Null(),
                       module.Number(static_cast<int64_t>(made.sources.size())),
                       module.Numbers(made.sources), module.Number(made.packed_at)}));
  }
  const size_t callers = model.inputs.size() + model.outputs.size();
  Constant* description = module.Global(module.Struct(
      {module.Number(static_cast<int64_t>(callers)),
       module.Number(static_cast<int64_t>(steps.size())), module.Array(steps),
       module.Bytes(compiled.constants, TESSERA_OP_ALIGNMENT), module.Number(compiled.create_bytes),
       module.Number(compiled.scratch_at), module.Number(compiled.scratch_bytes)}));
  const ModelNames names(model.name);
  module.Forward(names.create, 1, "tessera_model_create", description);
  module.Forward(names.run, callers + 2, "tessera_model_run", description);
  module.Forward(names.run_timed, 4, "tessera_model_run_timed", description);
  module.Call(names.destroy, {module.pointer()}, module.Nothing(), "tessera_model_destroy",
              nullptr);
  module.Return(names.workspace_bytes, module.Number(compiled.WorkspaceBytes()));
}

}  // namespace tessera::library
