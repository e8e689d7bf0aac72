#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

// The image of a kernel's buffers in memory shared between parent and child. The child computes in
// private memory (huge pages, guard pages) and copies from and to the image when told to.

namespace tessera::runner {

constexpr int64_t kGuardBytes = 256;
constexpr int64_t kBufferAlignment = 64;

// Where buffers lie in the child. kStrict: the end touches an inaccessible page, so that reading or
// writing past it faults. kLoose: staggered offsets behind a page's start, guard bytes on both
// sides, so that buffers don't compete for the same cache sets.
enum class Placement : uint8_t { kStrict, kLoose };

// A buffer in the image: `offset` of its data, with kGuardBytes before and after.
struct Slot {
  int64_t offset = 0;
  int64_t bytes = 0;
  // Guard bytes that follow the data in the child.
  int64_t BackGuard(Placement placement) const;
};

constexpr int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

struct Exchange {
  std::vector<Slot> slots;
  int64_t bytes = 0;
};
Exchange LayOutExchange(absl::Span<const int64_t> buffer_bytes);

// Contents of the guards, different at every place.
void FillGuards(absl::Span<std::byte> image, const Slot& slot);

// The first overwritten guard byte relative to the data (negative: before it), or 0 for none.
int64_t FindOverwrittenGuard(absl::Span<const std::byte> image, const Slot& slot,
                             Placement placement);

}  // namespace tessera::runner
