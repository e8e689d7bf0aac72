#pragma once

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"

namespace tessera::cli {

// The job that a source describes: its file, or one operator from words. InvalidArgument when it
// names neither or both.
absl::StatusOr<JobFile> ReadSource(const OperatorSource& source);

}  // namespace tessera::cli
