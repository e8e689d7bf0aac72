#include "worker/runner/cores.h"

#include <sched.h>

namespace tessera::runner {

bool PinThisThread(int core) { return PinThisThread(absl::MakeConstSpan(&core, 1)); }

bool PinThisThread(absl::Span<const int32_t> cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int32_t core : cores) {
    if (core < 0 || core >= CPU_SETSIZE) return false;
    CPU_SET(core, &set);
  }
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

std::vector<int> AllowedCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

}  // namespace tessera::runner
