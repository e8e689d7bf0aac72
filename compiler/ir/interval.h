#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "compiler/ir/simplify.h"

// Interval arithmetic that notices overflow; internal to this folder.

namespace tessera::ir {

// Sums in 128 bits; narrows at the end.
struct WideInterval {
  __int128 min = 0, max = 0;
  bool huge = false;  // a product beyond what sums of 128 bits can hold safely

  void AddScaled(const Interval& range, int64_t scale) {
    const __int128 a = static_cast<__int128>(range.min) * scale;
    const __int128 b = static_cast<__int128>(range.max) * scale;
    constexpr __int128 kLimit = static_cast<__int128>(1) << 100;
    huge = huge || a > kLimit || a < -kLimit || b > kLimit || b < -kLimit;
    if (huge) return;
    min += a < b ? a : b;
    max += a < b ? b : a;
  }
  void AddConstant(int64_t value) {
    min += value;
    max += value;
  }
  // Nothing if it leaves 64 bits.
  std::optional<Interval> Narrow() const {
    if (huge || min < INT64_MIN || max > INT64_MAX) return std::nullopt;
    return Interval{static_cast<int64_t>(min), static_cast<int64_t>(max)};
  }
};

std::optional<Interval> MultiplyIntervals(const Interval& a, const Interval& b);
// Floor division; nothing if the divisor may be 0.
std::optional<Interval> DivideIntervals(const Interval& a, const Interval& b);
// Floor modulo by a positive constant.
Interval ModuloInterval(const Interval& a, int64_t divisor);
inline Interval MinIntervals(const Interval& a, const Interval& b) {
  return {std::min(a.min, b.min), std::min(a.max, b.max)};
}
inline Interval MaxIntervals(const Interval& a, const Interval& b) {
  return {std::max(a.min, b.min), std::max(a.max, b.max)};
}
inline Interval JoinIntervals(const Interval& a, const Interval& b) {
  return {std::min(a.min, b.min), std::max(a.max, b.max)};
}

using RangeOfVar = absl::FunctionRef<std::optional<Interval>(const Var*)>;
std::optional<Interval> BoundWith(const Expr& e, RangeOfVar range_of);

}  // namespace tessera::ir
