#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

// What code that calls libraries of others is linked with.
struct ProviderParts {
  struct Needed {
    std::string soname;
    std::vector<std::string> functions;  // that it is called for
  };
  // The C runtime between generated code and libraries: relocatable, embedded when Tessera was
  // built (compiler/runtime/onednn.h).
  std::vector<std::string> objects;
  std::vector<std::string> libc_functions;  // that these call
  std::vector<Needed> needed;
};

// Of `providers` (base/third_party.h), in their order, on a kind of CPU. InvalidArgument: a library
// that nobody knows, or that isn't called there. FailedPrecondition: Tessera was built without a
// compiler for the kind.
absl::StatusOr<ProviderParts> PartsOfProviders(ir::TargetKind kind,
                                               absl::Span<const std::string> providers);

}  // namespace tessera::codegen
