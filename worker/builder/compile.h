#pragma once

#include "proto/session.h"
#include "worker/agent/roles.h"

namespace tessera::builder {

// The kernel's name in every artifact: equal programs give equal bytes, whatever they are called.
inline constexpr char kKernelSymbol[] = "tessera_candidate";
// What runs once before it, if its constants are more than rearranged.
inline constexpr char kPrepareSymbol[] = "tessera_prepare";

// What became of a request, and whether this process may serve another. It may not when the linker
// failed (it keeps its state in globals) or the compiler was left by an exception.
template <typename Output>
struct Compiled {
  Output output;
  bool is_last = false;
};

// Compiles a candidate in this process; the bytes are a function of workload, target, trace and
// threads alone. kBuildError when the trace can't be read, applied, lowered or compiled, or (of a
// reference) no sample can be afforded. kInfrastructure when workload or target can't be read, the
// loop hash is not the server's, or linking found no room. The artifact's digest and size are set.
// Never throws.
Compiled<agent::BuildOutput> Compile(const proto::BuildRequest& request);

// Makes a selection's library in this process: lib<name>.so, <name>.h and manifest.json.
// `artifacts`: of its model, the graph's text and the constants' bytes as the selection has them.
Compiled<agent::LibraryOutput> CompileLibrary(const proto::LibraryRequest& request,
                                              std::vector<std::string> artifacts);

}  // namespace tessera::builder
