#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/third_party.h"
#include "compiler/library/compiled_model.h"
#include "compiler/library/compiled_op.h"
#include "compiler/library/reference.h"

namespace tessera::library {

// ops.h: C and C++, self-contained; headers of several libraries go together.
std::string GenerateHeader(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                           const std::string& version);

// What the manifest says beside the operators.
struct ManifestFacts {
  std::string version;
  std::string runtime_sha256;
  std::vector<ThirdParty> needed;  // libraries of others that kernels call
  // Of a model.
  std::optional<CompiledModel> model;
  std::vector<ModelReference> references;  // by bucket
};

// manifest.json: sorted keys, two spaces, final newline. `manifest_version` 2. `files` are those
// beside it.
std::string GenerateManifest(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                             const ManifestFacts& facts, absl::Span<const LibraryFile> files);

}  // namespace tessera::library
