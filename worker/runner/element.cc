#include "worker/runner/element.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "base/status.h"

namespace tessera::runner {
namespace {

struct Description {
  std::string_view name;
  int bytes;
};
// In the order of ElementType.
constexpr Description kTypes[] = {{"f64", 8}, {"f32", 4}, {"f16", 2}, {"bf16", 2},
                                  {"i64", 8}, {"i32", 4}, {"i16", 2}, {"i8", 1},
                                  {"u32", 4}, {"u16", 2}, {"u8", 1}};

double FromHalf(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  if (exponent == 31) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  return sign *
         (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

uint16_t ToHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 0x1p-14) {
    return static_cast<uint16_t>(sign |
                                 static_cast<int>(std::nearbyint(std::ldexp(magnitude, 24))));
  }
  int exponent;
  const double fraction = std::frexp(magnitude, &exponent);  // in [0.5, 1)
  // A mantissa that rounds up to 2048 carries into the exponent, as it should.
  const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(fraction, 11)));
  return static_cast<uint16_t>(sign | (((exponent + 14) << 10) + mantissa - 1024));
}

double FromBFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t ToBFloat(double value) {
  if (std::isnan(value)) return 0x7fc0;
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
T Load(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void Store(std::byte* data, int64_t index, T value) {
  std::memcpy(data + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

template <typename T>
T Saturate(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    const double rounded = std::nearbyint(value);
    if (!(rounded > static_cast<double>(std::numeric_limits<T>::min()))) {
      return std::isnan(value) ? T{0} : std::numeric_limits<T>::min();
    }
    if (rounded >= static_cast<double>(std::numeric_limits<T>::max())) {
      return std::numeric_limits<T>::max();
    }
    return static_cast<T>(rounded);
  }
}

}  // namespace

int ElementBytes(ElementType type) { return kTypes[static_cast<int>(type)].bytes; }

bool IsFloat(ElementType type) { return type <= ElementType::kBF16; }

std::string_view ToString(ElementType type) { return kTypes[static_cast<int>(type)].name; }

absl::StatusOr<ElementType> ParseElementType(std::string_view name) {
  std::string known;
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i].name == name) return static_cast<ElementType>(i);
    absl::StrAppend(&known, i == 0 ? "" : ", ", std::string(kTypes[i].name));
  }
  return absl::InvalidArgumentError(absl::StrCat("element type \"", std::string(name),
                                                 "\" is not one that a runner reads: ", known));
}

double ReadElement(ElementType type, const std::byte* data, int64_t index) {
  switch (type) {
    case ElementType::kF64:
      return Load<double>(data, index);
    case ElementType::kF32:
      return Load<float>(data, index);
    case ElementType::kF16:
      return FromHalf(Load<uint16_t>(data, index));
    case ElementType::kBF16:
      return FromBFloat(Load<uint16_t>(data, index));
    case ElementType::kI64:
      return static_cast<double>(Load<int64_t>(data, index));
    case ElementType::kI32:
      return Load<int32_t>(data, index);
    case ElementType::kI16:
      return Load<int16_t>(data, index);
    case ElementType::kI8:
      return Load<int8_t>(data, index);
    case ElementType::kU32:
      return Load<uint32_t>(data, index);
    case ElementType::kU16:
      return Load<uint16_t>(data, index);
    case ElementType::kU8:
      return Load<uint8_t>(data, index);
  }
  return 0;
}

void WriteElement(ElementType type, std::byte* data, int64_t index, double value) {
  switch (type) {
    case ElementType::kF64:
      return Store(data, index, value);
    case ElementType::kF32:
      return Store(data, index, static_cast<float>(value));
    case ElementType::kF16:
      return Store(data, index, ToHalf(value));
    case ElementType::kBF16:
      return Store(data, index, ToBFloat(value));
    case ElementType::kI64:
      return Store(data, index, Saturate<int64_t>(value));
    case ElementType::kI32:
      return Store(data, index, Saturate<int32_t>(value));
    case ElementType::kI16:
      return Store(data, index, Saturate<int16_t>(value));
    case ElementType::kI8:
      return Store(data, index, Saturate<int8_t>(value));
    case ElementType::kU32:
      return Store(data, index, Saturate<uint32_t>(value));
    case ElementType::kU16:
      return Store(data, index, Saturate<uint16_t>(value));
    case ElementType::kU8:
      return Store(data, index, Saturate<uint8_t>(value));
  }
}

}  // namespace tessera::runner
