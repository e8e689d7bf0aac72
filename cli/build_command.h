#pragma once

#include "absl/status/status.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/job_file.h"

namespace tessera::cli {

// Builds the library of a file that was read from the options' source, or of `options.job`. Writes
// no file of it where it is off by more than it may be.
absl::Status BuildFrom(Client& client, const BuildOptions& options, JobFile file);

}  // namespace tessera::cli
