#include "compiler/ir/numeric.h"

namespace tessera::ir {

int64_t SaturatingAdd(Type type, int64_t a, int64_t b) {
  if (type.bits < 64) {
    return std::clamp(a + b, LowestInteger(type), HighestInteger(type));
  }
  if (type.code == TypeCode::kUInt) {
    uint64_t sum;
    return __builtin_add_overflow(static_cast<uint64_t>(a), static_cast<uint64_t>(b), &sum)
               ? -1
               : static_cast<int64_t>(sum);
  }
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

int64_t SaturatingSub(Type type, int64_t a, int64_t b) {
  if (type.bits < 64) {
    return std::clamp(a - b, LowestInteger(type), HighestInteger(type));
  }
  if (type.code == TypeCode::kUInt) {
    const auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
    return ua < ub ? 0 : static_cast<int64_t>(ua - ub);
  }
  int64_t difference;
  return __builtin_sub_overflow(a, b, &difference) ? (a < 0 ? INT64_MIN : INT64_MAX) : difference;
}

uint16_t HalfBits(double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 48 & 0x8000);
  if (std::isnan(value)) return sign | 0x7e00;
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520.0) return sign | 0x7c00;
  if (magnitude < 0x1p-14) {
    // Subnormal: units of 2^-24. nearbyint rounds to even; 1024 carries into the exponent rightly.
    return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24));
  }
  int exponent;
  const double fraction = std::frexp(magnitude, &exponent);                        // [0.5, 1)
  const auto mantissa = static_cast<uint32_t>(std::nearbyint(fraction * 2048.0));  // [1024, 2048]
  return sign | static_cast<uint16_t>((static_cast<uint32_t>(exponent + 13) << 10) + mantissa);
}

double HalfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  double magnitude;
  if (exponent == 31) {
    magnitude = mantissa != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    magnitude = mantissa * 0x1p-24;
  } else {
    magnitude = std::ldexp(1024 + mantissa, exponent - 25);
  }
  return bits & 0x8000 ? -magnitude : magnitude;
}

uint16_t BFloatBits(double value) {
  const auto sign = static_cast<uint16_t>(std::bit_cast<uint64_t>(value) >> 48 & 0x8000);
  if (std::isnan(value)) return sign | 0x7fc0;
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | 0x7f80;
  if (magnitude < 0x1p-126)
    return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p133));
  int exponent;
  const double fraction = std::frexp(magnitude, &exponent);
  const auto mantissa = static_cast<uint32_t>(std::nearbyint(fraction * 256.0));  // [128, 256]
  if (exponent > 128) return sign | 0x7f80;
  const uint32_t joined = (static_cast<uint32_t>(exponent + 125) << 7) + mantissa;
  return sign | static_cast<uint16_t>(std::min(joined, 0x7f80u));
}

int64_t FloatToInteger(Type type, double value, bool saturate) {
  if (std::isnan(value)) return 0;
  if (saturate) value = std::nearbyint(value);
  const bool wide_unsigned = type.code == TypeCode::kUInt && type.bits == 64;
  if (saturate) {
    const double low = IntegerToDouble(type, LowestInteger(type));
    const double high = IntegerToDouble(type, HighestInteger(type));
    if (value <= low) return LowestInteger(type);
    if (value >= high) return HighestInteger(type);
  }
  if (wide_unsigned && value >= 0x1p63) {
    return value >= 0x1p64 ? -1 : static_cast<int64_t>(static_cast<uint64_t>(value));
  }
  if (value >= 0x1p63) return WrapInteger(type, INT64_MAX);
  if (value <= -0x1p63) return WrapInteger(type, INT64_MIN);
  return WrapInteger(type, static_cast<int64_t>(value));
}

int64_t IntegerToInteger(Type to, Type from, int64_t value, bool saturate) {
  if (!saturate) return WrapInteger(to, value);
  const bool from_unsigned = from.code == TypeCode::kUInt;
  if (!from_unsigned && value < 0) {
    return to.code == TypeCode::kUInt ? 0 : std::max(value, LowestInteger(to));
  }
  // Non-negative from here, as an unsigned number.
  return static_cast<int64_t>(
      std::min(static_cast<uint64_t>(value), static_cast<uint64_t>(HighestInteger(to))));
}

double IntegerToFloat(Type to, Type from, int64_t value) {
  if (to.bits == 32) {
    return from.code == TypeCode::kUInt ? static_cast<float>(static_cast<uint64_t>(value))
                                        : static_cast<float>(value);
  }
  // Integers beyond 2^53 lose no bit that decides a rounding to f16 (they overflow); for bf16 the
  // sticky bit is kept by rounding to odd.
  double wide = IntegerToDouble(from, value);
  if (to.code == TypeCode::kBFloat && std::fabs(wide) >= 0x1p53) {
    const bool negative = from.code == TypeCode::kInt && value < 0;
    uint64_t magnitude =
        negative ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
    magnitude = (magnitude & ~uint64_t{0xffff}) | ((magnitude & 0xffff) != 0 ? 0x8000 : 0);
    wide = static_cast<double>(magnitude) * (negative ? -1 : 1);
  }
  return RoundFloat(to, wide);
}

}  // namespace tessera::ir
