#include "tuner/task_scheduler.h"

#include <cstdint>

namespace tessera::tuner {

int FairScheduler::Next(absl::Span<const TaskLoad> loads) const {
  const TaskLoad* best = nullptr;
  for (const TaskLoad& load : loads) {
    // Shares compared as fractions, exactly.
    if (best == nullptr || int64_t{load.budget - load.handed_out} * best->budget >
                               int64_t{best->budget - best->handed_out} * load.budget) {
      best = &load;
    }
  }
  return best == nullptr ? -1 : best->task_index;
}

}  // namespace tessera::tuner
