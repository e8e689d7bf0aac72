#pragma once

#include <time.h>

#include "absl/time/time.h"

namespace tessera::test {

// What the calling thread has computed so far. What else the machine does hardly counts.
inline absl::Duration ThreadCpuTime() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace tessera::test
