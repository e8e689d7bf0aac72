#pragma once

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "compiler/graph/graph.h"

namespace tessera::cli {

// Has the server keep the graph and its constants as artifacts, of which it gets those that it
// doesn't have; says on standard error how many. FailedPrecondition where it can't keep them all.
absl::StatusOr<db::SelectionModel> UploadModel(Client& client, const graph::Graph& graph);

}  // namespace tessera::cli
