#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/samples.h"

namespace tessera::cli {

// Whether a model's library, which is run here, is off by no more than a demand allows: each
// element of each output from the reference of its manifest or, with samples, from their outputs,
// in parts of the largest magnitude that the output should have (docs/ci.md). Says on standard
// error what was found. NotMet (exit_code.h) where it is off by more, or nothing can be compared,
// or the runs of all buckets together take more than ten minutes.
// As of RunLibrary for threads and errors.
absl::Status CheckError(absl::Span<const BuiltFile> files, absl::Span<const SampleRun> samples,
                        double limit, Clock& clock = Clock::Real());

}  // namespace tessera::cli
