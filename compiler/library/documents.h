#pragma once

#include <string>

#include "absl/types/span.h"
#include "compiler/library/compiled_op.h"

namespace tessera::library {

// ops.h: C and C++, self-contained; headers of several libraries go together.
std::string GenerateHeader(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                           const std::string& version);

// What the manifest says about the files beside it.
struct Digests {
  std::string library_sha256;
  std::string header_sha256;
  std::string runtime_sha256;
};

// manifest.json: sorted keys, two spaces, final newline. `manifest_version` 2.
std::string GenerateManifest(absl::Span<const CompiledOp> ops, const LibrarySpec& spec,
                             const std::string& version, const Digests& digests);

}  // namespace tessera::library
