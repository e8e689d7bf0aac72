#pragma once

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"

namespace tessera::cli {

// The job that a source describes: its file, or one operator from words. InvalidArgument when it
// names neither or both.
absl::StatusOr<JobFile> ReadSource(const OperatorSource& source);

// The same for commands that block interrupts (base/interrupt.h): quantising a model can take
// hours, and nothing is under way yet. So the first one ends the process at once with exit code
// 130.
absl::StatusOr<JobFile> ReadSourceInterruptibly(const OperatorSource& source);

}  // namespace tessera::cli
