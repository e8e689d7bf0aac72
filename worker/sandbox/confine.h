#pragma once

#include "absl/status/status.h"
#include "worker/sandbox/child_exit.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/sandbox.h"

namespace tessera::sandbox {

// Moves `wanted` to the numbers from 3 up, in order, points 0, 1 and 2 at `null` (closed when -1),
// and closes everything else.
absl::Status ArrangeDescriptors(absl::Span<const int> wanted, int null);

// Writes faults, aborts and forbidden system calls of this process to `diagnosis` before they end
// it. `diagnosis` must stay mapped. The main thread gets a stack of its own for that.
void RecordFaults(Diagnosis* diagnosis, int64_t memory_limit_bytes);

// Bytes that this process maps. `proc`: a descriptor of /proc.
int64_t MappedBytes(int proc);

// Applies limits, files denied, no_new_privs and the system call filter to this process, for good.
absl::Status Confine(const Isolation& isolation, const Limits& limits, int64_t mapped_bytes);

}  // namespace tessera::sandbox
