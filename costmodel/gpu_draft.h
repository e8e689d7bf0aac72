#pragma once

#include "absl/types/span.h"

namespace tessera::costmodel {

// DraftSeconds of a GPU's program: a roofline whose parts add up. Cycles of the arithmetic, of
// shared memory with its conflicts, of the sectors of global memory and of barriers, on the unit
// that gets the most blocks; the longer the fewer waves it has to switch between.
double GpuDraftSeconds(absl::Span<const float> row);

}  // namespace tessera::costmodel
