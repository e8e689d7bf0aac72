#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::codegen {

struct StaticLibraryOptions {
  std::vector<std::string> exported;  // symbols that keep their names
  std::string prefix;                 // of all others that the objects define for each other
};

// Puts relocatable ELF objects into a static library, an archive with a table of its symbols. What
// isn't exported is renamed and hidden, so that several of these libraries can be linked into one
// program. A pure function of its arguments. InternalError for what is no ELF object. Thread-safe.
absl::StatusOr<std::string> MakeStaticLibrary(absl::Span<const std::string> objects,
                                              const StaticLibraryOptions& options);

}  // namespace tessera::codegen
