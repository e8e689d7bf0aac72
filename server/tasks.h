#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/store.h"

namespace tessera::server {

// What one job or selection may hold, so that making its spaces takes seconds whatever it says. The
// costliest chains of stages took 0.7 ms a stage (they are quadratic, up to te::kMaxStages), the
// costliest expressions 0.8 s a MiB: 3 s each at these limits. A convolution with its epilogue has
// five stages in less than a KiB.
inline constexpr int kMaxJobTasks = 256;
inline constexpr int64_t kMaxJobStages = 4096;
inline constexpr int64_t kMaxJobWorkloadBytes = int64_t{4} << 20;

// The tasks of a job or selection (`owner`, for people) from outside, believed only after a look:
// each workload parses and verifies, its hash is the stated one, the target is known and has the
// threads, and all together are within the limits above. InvalidArgument naming task and value.
absl::Status CheckTasks(std::string_view owner, absl::Span<const db::Task> tasks);

// The task of that key, which a job or selection has named. NotFound.
absl::StatusOr<db::Task> FindTask(db::Store& store, std::string_view key);

}  // namespace tessera::server
