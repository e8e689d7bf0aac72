#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tessera::graph {

// Memory that is needed from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes = 0;
  int first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // by lifetime: bytes from the arena's beginning
  int64_t arena_bytes = 0;
  int64_t least_bytes = 0;  // that are alive at once in some step: no plan has less
};

// Places in one arena for what doesn't live at the same time to share; each begins at a multiple of
// `alignment`. Largest first, as low as there is room: deterministic.
MemoryPlan PlanMemory(absl::Span<const Lifetime> lifetimes, int64_t alignment);

}  // namespace tessera::graph
