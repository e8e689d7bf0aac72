#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "compiler/graph/evaluate.h"

namespace tessera::cli {

// The job that a source describes: its file, or one operator from words. The executor runs samples
// of a model (quantized_model.h). InvalidArgument when it names neither or both.
absl::StatusOr<JobFile> ReadSource(const OperatorSource& source,
                                   const graph::Executor& executor = graph::Interpreted);

// ReadSource for commands that block interrupts (base/interrupt.h): quantising a model can take
// minutes, and nothing is under way yet that has to be ended in order. So the first one ends the
// process at once with exit code 130.
absl::StatusOr<JobFile> ReadSourceInterruptibly(
    const OperatorSource& source, const graph::Executor& executor = graph::Interpreted);

// InvalidArgument where a source has options that are for models alone.
absl::Status CheckIsOfNoModel(const OperatorSource& source);

}  // namespace tessera::cli
