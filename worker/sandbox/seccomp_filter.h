#pragma once

#include <linux/filter.h>

#include <vector>

#include "absl/status/status.h"

namespace tessera::sandbox {

// The system calls that a kernel with threads and the dynamic loader need: memory, futexes, threads
// of this process, clocks, reading and writing open descriptors, read-only opens, signals to
// itself. Everything else raises SIGSYS; ioctl, clone3, mbind and prctl fail with an error instead,
// as the C library expects of old systems. `own_pid`: the process that may send itself signals.
std::vector<sock_filter> BuildFilter(int own_pid);

// Installs `filter` on every thread of this process, for good. Sets no_new_privs first.
// Unimplemented when the system has no seccomp filters.
absl::Status InstallFilter(const std::vector<sock_filter>& filter);

}  // namespace tessera::sandbox
