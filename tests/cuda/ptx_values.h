#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "tests/cuda/ptx_program.h"

// Numbers as PTX's types hold them in registers.

namespace tessera::ptx {

using Half = _Float16;

template <typename T>
T From(Word word) {
  T value;
  std::memcpy(&value, &word, sizeof(T));
  return value;
}

template <typename T>
Word To(T value) {
  Word word = 0;
  std::memcpy(&word, &value, sizeof(T));
  return word;
}

template <typename T>
inline constexpr bool kIsFloat = std::is_floating_point_v<T> || std::is_same_v<T, Half>;

template <typename T>
bool IsNan(T value) {
  if constexpr (kIsFloat<T>) return std::isnan(static_cast<double>(value));
  return false;
}

// Calls `f` with a value of the type that PTX calls `name`; false for none that is known here.
template <typename F>
bool WithType(std::string_view name, F f) {
  const auto call = [&](auto value) {
    f(value);
    return true;
  };
  if (name == "pred") return call(uint8_t{});
  if (name == "u8" || name == "b8") return call(uint8_t{});
  if (name == "s8") return call(int8_t{});
  if (name == "u16" || name == "b16") return call(uint16_t{});
  if (name == "s16") return call(int16_t{});
  if (name == "u32" || name == "b32") return call(uint32_t{});
  if (name == "s32") return call(int32_t{});
  if (name == "u64" || name == "b64") return call(uint64_t{});
  if (name == "s64") return call(int64_t{});
  if (name == "f16") return call(Half{});
  if (name == "f32") return call(float{});
  if (name == "f64") return call(double{});
  return false;
}

// A number to another type, rounded to the nearest even one where it has no such value; floats to
// integers are rounded first, as the instruction says, and clamped; NaN is zero.
template <typename To, typename From>
To Convert(From value, bool to_zero) {
  if constexpr (!kIsFloat<To> && kIsFloat<From>) {
    const auto wide = static_cast<double>(value);
    const double whole = to_zero ? std::trunc(wide) : std::nearbyint(wide);
    if (std::isnan(whole)) return 0;
    // Of 64 bits the largest is not a double: at 2^63 or 2^64 it is reached.
    if (whole >= std::ldexp(1.0, std::numeric_limits<To>::digits)) {
      return std::numeric_limits<To>::max();
    }
    if (whole <= static_cast<double>(std::numeric_limits<To>::min())) {
      return std::numeric_limits<To>::min();
    }
    return static_cast<To>(whole);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace tessera::ptx
