#pragma once

#include <cstdint>
#include <limits>

#include "absl/types/span.h"

namespace tessera::te {

inline constexpr int64_t kSaturated = std::numeric_limits<int64_t>::max();

// Arithmetic on counts (>= 0) that stops at kSaturated.
inline int64_t SaturatingMultiply(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result) ? kSaturated : result;
}
inline int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_add_overflow(a, b, &result) ? kSaturated : result;
}
inline int64_t SaturatingProduct(absl::Span<const int64_t> extents) {
  int64_t product = 1;
  for (int64_t extent : extents) product = SaturatingMultiply(product, extent);
  return product;
}

}  // namespace tessera::te
