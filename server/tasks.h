#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::server {

// What one job may hold, so that making its spaces takes seconds whatever it says. The costliest
// chains of stages took 0.7 ms a stage (they are quadratic, up to te::kMaxStages), the costliest
// expressions 0.8 s a MiB: 3 s each at these limits. A convolution with its epilogue has five
// stages in less than a KiB.
inline constexpr int kMaxJobTasks = 256;
inline constexpr int64_t kMaxJobStages = 4096;
inline constexpr int64_t kMaxJobWorkloadBytes = int64_t{4} << 20;

// A task from outside, believed only after a look: the workload parses and verifies, its hash is
// the stated one, the target is known and has the threads. InvalidArgument naming task and value.
absl::Status CheckTask(const db::Task& task);

// All tasks of a job, together within the limits above.
absl::Status CheckTasks(absl::Span<const db::Task> tasks);

}  // namespace tessera::server
