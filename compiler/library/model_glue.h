#pragma once

#include <vector>

#include "absl/types/span.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"
#include "compiler/library/glue_module.h"
#include "compiler/library/model.h"

namespace tessera::library {

// Functions of a model's calls (model_header.h), which hand its description to the runtime
// (compiler/runtime/model.h). `tables` and `packings` are the operators' tessera_op_table and
// tessera_packing_table.
void AddModel(const GlueModule& module, const LibraryModel& model, const CompiledModel& compiled,
              absl::Span<const CompiledOp> ops, const std::vector<llvm::Constant*>& tables,
              const std::vector<llvm::Constant*>& packings);

}  // namespace tessera::library
