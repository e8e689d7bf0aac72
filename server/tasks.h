#pragma once

#include "absl/status/status.h"
#include "db/record/record.h"

namespace tessera::server {

// A task from outside, believed only after a look: the workload parses and verifies, its hash is
// the stated one, the target is known and has the threads. InvalidArgument naming task and value.
absl::Status CheckTask(const db::Task& task);

}  // namespace tessera::server
