#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/target.h"

namespace tessera::codegen {

struct LinkOptions {
  ir::TargetKind kind = ir::TargetKind::kX86;  // a CPU's
  std::string soname;                          // empty: none
  std::vector<std::string> exported;           // symbols that the result defines for others
  // Functions that may come from the C library. When there are any, the result states that it
  // needs libc.so.6; anything else left undefined is an error that names it.
  std::vector<std::string> libc_functions;
  // Libraries of others whose functions it calls (base/third_party.h), by name. The result states
  // that it needs them, and has what stands between (provider_parts.h); they need not be on this
  // machine.
  std::vector<std::string> providers;
};

// Links relocatable ELF objects into a shared object with lld, in this process. A pure function of
// its arguments: no build id, no time, no path, no file of the host gets into the result.
// InvalidArgument: a library that nobody knows. In memory alone, but /proc has to be there.
// Thread-safe; one link runs at a time (below 1 ms), because lld keeps its state in globals.
// ResourceExhausted: no descriptors, thread or memory.
absl::StatusOr<std::string> LinkSharedObject(absl::Span<const std::string> objects,
                                             const LinkOptions& options);

}  // namespace tessera::codegen
