#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

// The object with the exported functions of all operators: each gathers its arguments into an array
// and calls the runtime (compiler/runtime/ops.h) with a constant descriptor. `version` is what
// the library's version function returns; `model` is there if the library has one, whose functions
// are exported instead.
absl::StatusOr<std::string> GenerateGlue(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                                         const std::string& version,
                                         const std::optional<CompiledModel>& model);

}  // namespace tessera::library
