#pragma once

#include <functional>

#include "absl/status/status.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "db/record/record.h"

namespace tessera::cli {

// What RunBuild does with a file that is read, or with options.job. `accept` is asked about what
// was chosen before the library is built; its error ends all. So do interrupts, which have to be
// blocked (base/interrupt.h): Cancelled.
absl::Status BuildOf(const BuildOptions& options, JobFile file,
                     const std::function<absl::Status(const db::Selection&)>& accept);

}  // namespace tessera::cli
