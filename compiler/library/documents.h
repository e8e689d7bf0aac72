#pragma once

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

// ops.h: C and C++, self-contained; headers of several libraries go together.
std::string GenerateHeader(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                           const std::string& version);

// manifest.json: sorted keys, two spaces, final newline. `manifest_version` 2. `files` are those
// beside it.
std::string GenerateManifest(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                             const std::string& version, const std::optional<CompiledModel>& model,
                             absl::Span<const LibraryFile> files,
                             const std::string& runtime_sha256);

}  // namespace tessera::library
