#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/report.h"
#include "db/record/record.h"

namespace tessera::cli {

// A time above 0 such as "20m" or "5ms", in seconds. InvalidArgument, naming the option, for
// others.
absl::StatusOr<double> PositiveSeconds(const char* option, const std::string& text);

// Whether what a request made is as fast as its --min-speedup and --max-latency demand: of a model
// that was measured as a whole a run of each of its buckets together, else the sum of the kernels'
// times, weighted. NotMet (exit_code.h) where it is slower, or that can't be judged.
absl::Status CheckTimes(const RequestOptions& options, const Report& report,
                        const db::Selection& chosen, size_t buckets);

}  // namespace tessera::cli
