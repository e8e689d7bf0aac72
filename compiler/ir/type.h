#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera::ir {

enum class TypeCode : uint8_t { kInt, kUInt, kFloat, kBFloat, kToken };

// Element type and vector width. Sub-byte integers (bits 1, 2, 4) are stored packed, little end
// first. Booleans are u1. A token orders asynchronous copies and has no value.
struct Type {
  TypeCode code = TypeCode::kInt;
  uint8_t bits = 32;
  uint16_t lanes = 1;

  bool operator==(const Type&) const = default;
  bool is_float() const { return code == TypeCode::kFloat || code == TypeCode::kBFloat; }
  bool is_integer() const { return code == TypeCode::kInt || code == TypeCode::kUInt; }
  bool is_bool() const { return code == TypeCode::kUInt && bits == 1; }
  bool is_vector() const { return lanes > 1; }
  Type WithLanes(int n) const { return {code, bits, static_cast<uint16_t>(n)}; }
  Type Element() const { return WithLanes(1); }
};

constexpr Type Int(int bits) { return {TypeCode::kInt, static_cast<uint8_t>(bits), 1}; }
constexpr Type UInt(int bits) { return {TypeCode::kUInt, static_cast<uint8_t>(bits), 1}; }
constexpr Type Float(int bits) { return {TypeCode::kFloat, static_cast<uint8_t>(bits), 1}; }
constexpr Type BFloat16() { return {TypeCode::kBFloat, 16, 1}; }
constexpr Type Bool() { return {TypeCode::kUInt, 1, 1}; }
constexpr Type Token() { return {TypeCode::kToken, 0, 1}; }
// The type of loop variables and indices.
constexpr Type Index() { return Int(64); }

// "f32", "bf16", "i8", "u1", "token"; a vector of 16 is "f32x16". Both ways.
std::string ToString(Type type);
absl::StatusOr<Type> ParseType(std::string_view text);

}  // namespace tessera::ir
