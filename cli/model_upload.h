#pragma once

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"
#include "compiler/graph/buckets.h"

namespace tessera::cli {

// Has the server keep the graphs and their constants as artifacts, of which it gets those that it
// doesn't have; says on standard error how many. FailedPrecondition where it can't keep them all.
absl::StatusOr<db::SelectionModel> UploadModel(Client& client,
                                               absl::Span<const graph::Bucket> buckets);

}  // namespace tessera::cli
