#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace tessera {

// Seeded input values that builder and runner both derive, so that no tensor travels. Element `i`
// depends on (seed, buffer, i) alone: single elements can be asked for without making the rest.
// Floats are multiples of 1/64 in [-1, 1], so that sums round little; integers span a small range
// that keeps int8 products exact.
double TestValue(uint64_t seed, int buffer, int64_t index);
int64_t TestInteger(uint64_t seed, int buffer, int64_t index, int64_t low, int64_t high);

}  // namespace tessera
