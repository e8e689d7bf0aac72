#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "compiler/ir/type.h"

// The arithmetic of element types, stated once for constant folding and the evaluator. Integers
// travel as int64_t: sign-extended if signed, zero-extended if unsigned, u64 as its bit pattern.
// Floats travel as double, always a value of the type.

namespace tessera::ir {

inline int64_t WrapInteger(Type type, int64_t value) {
  if (type.bits >= 64) return value;
  const int shift = 64 - type.bits;
  const uint64_t high = static_cast<uint64_t>(value) << shift;
  return type.code == TypeCode::kInt ? static_cast<int64_t>(high) >> shift
                                     : static_cast<int64_t>(high >> shift);
}

inline int64_t WrappingAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
inline int64_t WrappingSub(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
inline int64_t WrappingMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// Rounds to minus infinity. Requires b != 0; the most negative number by -1 wraps.
inline int64_t FloorDiv(int64_t a, int64_t b) {
  if (b == -1) return WrappingSub(0, a);
  const int64_t q = a / b;
  return q - (a % b != 0 && ((a % b < 0) != (b < 0)));
}
inline int64_t FloorMod(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
}

inline int64_t LowestInteger(Type type) {
  return type.code == TypeCode::kUInt ? 0 : INT64_MIN >> (64 - type.bits);
}
// The bit pattern of 2^64 - 1 (that is, -1) for u64.
inline int64_t HighestInteger(Type type) {
  if (type.code == TypeCode::kUInt) {
    return static_cast<int64_t>(~uint64_t{0} >> (64 - type.bits));
  }
  return INT64_MAX >> (64 - type.bits);
}

inline bool IntegerLess(Type type, int64_t a, int64_t b) {
  return type.code == TypeCode::kUInt ? static_cast<uint64_t>(a) < static_cast<uint64_t>(b) : a < b;
}

int64_t SaturatingAdd(Type type, int64_t a, int64_t b);
int64_t SaturatingSub(Type type, int64_t a, int64_t b);

// IEEE binary16 and bfloat16, to nearest, ties to even; NaN stays NaN.
uint16_t HalfBits(double value);
double HalfValue(uint16_t bits);
uint16_t BFloatBits(double value);
inline double BFloatValue(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// The nearest value of a float type. Sums, products, quotients and roots of two values of the type,
// computed in double and rounded so, are the correctly rounded results (53 >= 2·24 + 2 bits).
inline double RoundFloat(Type type, double value) {
  if (type.bits == 64) return value;
  if (type.bits == 32) return static_cast<float>(value);
  return type.code == TypeCode::kBFloat ? BFloatValue(BFloatBits(value))
                                        : HalfValue(HalfBits(value));
}

// Float to integer as Cast defines it; NaN is 0. Without `saturate` values outside int64 clamp to
// it before the result wraps to the type.
int64_t FloatToInteger(Type type, double value, bool saturate);
// Integer to integer as Cast defines it.
int64_t IntegerToInteger(Type to, Type from, int64_t value, bool saturate);
inline double IntegerToDouble(Type from, int64_t value) {
  return from.code == TypeCode::kUInt ? static_cast<double>(static_cast<uint64_t>(value))
                                      : static_cast<double>(value);
}
// One rounding: i64 to f32 goes through no double.
double IntegerToFloat(Type to, Type from, int64_t value);

}  // namespace tessera::ir
