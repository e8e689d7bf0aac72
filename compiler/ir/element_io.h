#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "compiler/ir/numeric.h"
#include "compiler/ir/type.h"

// Elements in stored memory. Sub-byte integers are packed, little end first. Internal to this
// folder.

namespace tessera::ir {

template <typename T>
inline T LoadRaw(const std::byte* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
inline void StoreRaw(std::byte* bytes, int64_t index, T value) {
  std::memcpy(bytes + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

inline int64_t ReadInteger(Type type, const std::byte* bytes, int64_t index) {
  switch (type.bits) {
    case 64:
      return LoadRaw<int64_t>(bytes, index);
    case 32:
      return WrapInteger(type, LoadRaw<int32_t>(bytes, index));
    case 16:
      return WrapInteger(type, LoadRaw<int16_t>(bytes, index));
    case 8:
      return WrapInteger(type, LoadRaw<int8_t>(bytes, index));
    default: {
      const int64_t bit = index * type.bits;
      return WrapInteger(type, std::to_integer<int64_t>(bytes[bit / 8]) >> (bit % 8));
    }
  }
}

inline void WriteInteger(Type type, std::byte* bytes, int64_t index, int64_t value) {
  switch (type.bits) {
    case 64:
      return StoreRaw(bytes, index, value);
    case 32:
      return StoreRaw(bytes, index, static_cast<int32_t>(value));
    case 16:
      return StoreRaw(bytes, index, static_cast<int16_t>(value));
    case 8:
      return StoreRaw(bytes, index, static_cast<int8_t>(value));
    default: {
      const int64_t bit = index * type.bits;
      const auto mask = static_cast<unsigned>((1 << type.bits) - 1) << (bit % 8);
      const auto part = static_cast<unsigned>(value) << (bit % 8) & mask;
      bytes[bit / 8] = (bytes[bit / 8] & ~std::byte(mask)) | std::byte(part);
    }
  }
}

inline double ReadFloat(Type type, const std::byte* bytes, int64_t index) {
  if (type.bits == 32) return LoadRaw<float>(bytes, index);
  if (type.bits == 64) return LoadRaw<double>(bytes, index);
  const auto bits = LoadRaw<uint16_t>(bytes, index);
  return type.code == TypeCode::kBFloat ? BFloatValue(bits) : HalfValue(bits);
}

// `value` is of the type.
inline void WriteFloat(Type type, std::byte* bytes, int64_t index, double value) {
  if (type.bits == 32) return StoreRaw(bytes, index, static_cast<float>(value));
  if (type.bits == 64) return StoreRaw(bytes, index, value);
  StoreRaw(bytes, index, type.code == TypeCode::kBFloat ? BFloatBits(value) : HalfBits(value));
}

}  // namespace tessera::ir
