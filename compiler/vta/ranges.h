#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "compiler/vta/code.h"

namespace tessera::vta {

// Both included.
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};

// Where a value lies while the loops around make `turns`, outermost first. Terms are taken as
// independent. Requires numbers within the limits of code.h.
Range RangeOf(const Value& value, absl::Span<const int64_t> turns);

// No fewer than the different vectors that these values take together, within `limit`.
int64_t DistinctValues(absl::Span<const Value* const> values, absl::Span<const int64_t> turns,
                       int64_t limit);

}  // namespace tessera::vta
