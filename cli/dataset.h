#pragma once

#include "absl/status/statusor.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "tuner/replay/dataset.h"

namespace tessera::cli {

struct MadeDataset {
  replay::Dataset dataset;
  int left_out = 0;  // measurements of programs that this build's space has not
};

// Of a server's log. InvalidArgument where the options leave a choice of tasks or classes; NotFound
// without measurements.
absl::StatusOr<MadeDataset> MakeDataset(Client& client, const DatasetOptions& options);

}  // namespace tessera::cli
