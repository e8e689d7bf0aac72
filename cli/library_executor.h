#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "compiler/graph/evaluate.h"

namespace tessera::cli {

// Runs graphs as libraries: a server's builder makes them of default schedules, each is loaded in
// a process of its own (model_process.h) and runs there as often as its runner is asked to. The
// code is for the least CPU of this machine's kind, so that it computes the same numbers on every
// x86 machine. `connect` is asked for each graph, but for one that is the last but for its outputs,
// which are among that one's: these share a library. Making a runner takes seconds, says on
// standard error what is being done, and leaves the graph, its constants and a selection of the
// library at the server. A run may take ten minutes. What the library does wrong is Internal.
// Neither executors nor runners are thread-safe; runners need no server.
graph::Executor LibraryExecutor(std::function<absl::StatusOr<Client*>()> connect);

// By the server at this address, which it connects to when the first graph comes.
graph::Executor LibraryExecutor(const std::string& server);

}  // namespace tessera::cli
