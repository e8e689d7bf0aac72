#pragma once

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "tuner/replay/dataset.h"

namespace tessera::cli {

struct MadeDataset {
  replay::Dataset dataset;
  int left_out = 0;       // measurements of programs that this build's space, or its pins, have not
  bool has_more = false;  // the log has more of the task than are read
};

// Of a server's log; within the pins of the first of the jobs, if any are named. InvalidArgument
// where the options leave a choice of tasks or classes; NotFound without measurements;
// FailedPrecondition where not all was measured that kind "enumerated" promises.
absl::StatusOr<MadeDataset> MakeDataset(Client& client, const DatasetOptions& options);

}  // namespace tessera::cli
