#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/client.h"
#include "cli/job_file.h"
#include "compiler/graph/buckets.h"

namespace tessera::cli {

// Has the server keep the graphs and their constants as artifacts, of which it gets those that it
// doesn't have; says on standard error how many. FailedPrecondition where it can't keep them all.
absl::StatusOr<db::SelectionModel> UploadModel(Client& client,
                                               absl::Span<const graph::Bucket> buckets);

// Has a job that is to be made of `file` say which model its tasks are the kernels of, under a name
// for libraries, so that the server measures what a run takes as they are tuned. Leaves it as it is
// where that is no model, no CPU runs it, devices of any class may, or the server doesn't take it:
// of the last a warning tells. Cancelled by Ctrl-C, Unavailable.
absl::Status NameModel(Client& client, const JobFile& file, const std::string& name, db::Job& job);

}  // namespace tessera::cli
