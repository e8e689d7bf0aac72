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

// A tessera_model_step.
Constant* StepOf(const GlueModule& module, const LibraryModel::Step& step,
                 const CompiledModel::Step& made, const CompiledOp& op, Constant* table,
                 Constant* packing) {
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
  return module.Struct({table, module.Number(static_cast<int64_t>(arguments.size())),
                        module.Array(arguments), made.packs ? packing : module.Null(),
                        module.Number(static_cast<int64_t>(made.sources.size())),
                        module.Numbers(made.sources), module.Number(made.packed_at)});
}

}  // namespace

void AddModel(const GlueModule& module, const LibraryModel& model, const CompiledModel& compiled,
              absl::Span<const CompiledOp> ops, const std::vector<Constant*>& tables,
              const std::vector<Constant*>& packings) {
  Constant* constants = module.Bytes(compiled.constants, TESSERA_OP_ALIGNMENT);
  const auto describe = [&](size_t callers, const std::vector<Constant*>& steps,
                            const CompiledModel::Bucket& made) {
    return module.Global(
        module.Struct({module.Number(static_cast<int64_t>(callers)),
                       module.Number(static_cast<int64_t>(steps.size())), module.Array(steps),
                       constants, module.Number(compiled.create_bytes),
                       module.Number(made.scratch_at), module.Number(made.scratch_bytes)}));
  };
  std::vector<Constant*> all;  // steps, of which creating the model packs what has to be
  std::vector<int64_t> extents;
  for (size_t b = 0; b < model.buckets.size(); ++b) {
    const LibraryModel::Bucket& bucket = model.buckets[b];
    const CompiledModel::Bucket& made = compiled.buckets[b];
    std::vector<Constant*> steps;
    for (size_t s = 0; s < bucket.steps.size(); ++s) {
      const auto number = static_cast<size_t>(bucket.steps[s].op);
      steps.push_back(StepOf(module, bucket.steps[s], made.steps[s], ops[number], tables[number],
                             packings[number]));
    }
    all.insert(all.end(), steps.begin(), steps.end());
    for (const auto& [name, extent] : bucket.extents) extents.push_back(extent);
    const size_t callers = bucket.inputs.size() + bucket.outputs.size();
    const BucketNames names(model, bucket);
    Constant* const description = describe(callers, steps, made);
    module.Forward(names.run, callers + 2, "tessera_model_run", description);
    module.Forward(names.run_timed, 4, "tessera_model_run_timed", description);
    module.Return(names.workspace_bytes, module.Number(made.WorkspaceBytes()));
  }
  const ModelNames names(model);
  module.Forward(names.create, 1, "tessera_model_create", describe(0, all, {}));
  module.Call(names.destroy, {module.pointer()}, module.Nothing(), "tessera_model_destroy",
              nullptr);
  if (model.buckets.size() == 1) return;
  const auto count = static_cast<int64_t>(model.buckets.size());
  Constant* buckets = module.Global(module.Struct(
      {module.Number(count), module.Number(static_cast<int64_t>(extents.size()) / count),
       module.Numbers(extents)}));
  module.Call(names.bucket, {module.pointer()}, module.i32(), "tessera_model_bucket", buckets);
}

}  // namespace tessera::library
