#include "compiler/ir/type.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::ir {
namespace {

constexpr int kMaxLanes = 4096;

bool ValidBits(TypeCode code, int bits) {
  switch (code) {
    case TypeCode::kInt:
    case TypeCode::kUInt:
      return bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 32 ||
             bits == 64;
    case TypeCode::kFloat:
      return bits == 16 || bits == 32 || bits == 64;
    case TypeCode::kBFloat:
      return bits == 16;
    case TypeCode::kToken:
      return bits == 0;
  }
  return false;
}

std::string_view Prefix(TypeCode code) {
  switch (code) {
    case TypeCode::kInt:
      return "i";
    case TypeCode::kUInt:
      return "u";
    case TypeCode::kFloat:
      return "f";
    case TypeCode::kBFloat:
      return "bf";
    case TypeCode::kToken:
      return "token";
  }
  return "?";
}

// Reads a decimal number off the front of `text`; -1 if there is none.
int TakeNumber(std::string_view& text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return -1;
  text.remove_prefix(end - text.data());
  return value;
}

}  // namespace

std::string ToString(Type type) {
  std::string text(Prefix(type.code));
  if (type.code != TypeCode::kToken) absl::StrAppend(&text, static_cast<int>(type.bits));
  if (type.lanes != 1) absl::StrAppend(&text, "x", static_cast<int>(type.lanes));
  return text;
}

absl::StatusOr<Type> ParseType(std::string_view text) {
  const auto refuse = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "type \"", std::string(text.substr(0, 40)),
        "\" is unknown; known: i and u of 1, 2, 4, 8, 16, 32, 64 bits, f16, f32, f64, bf16, "
        "token, and vectors of them such as f32x16 (2 to ",
        kMaxLanes, " lanes)"));
  };
  if (text == "token") return Token();
  std::string_view rest = text;
  Type type;
  if (rest.substr(0, 2) == "bf") {
    type.code = TypeCode::kBFloat;
    rest.remove_prefix(2);
  } else if (!rest.empty() && (rest[0] == 'i' || rest[0] == 'u' || rest[0] == 'f')) {
    type.code = rest[0] == 'i'   ? TypeCode::kInt
                : rest[0] == 'u' ? TypeCode::kUInt
                                 : TypeCode::kFloat;
    rest.remove_prefix(1);
  } else {
    return refuse();
  }
  const int bits = TakeNumber(rest);
  if (!ValidBits(type.code, bits)) return refuse();
  type.bits = static_cast<uint8_t>(bits);
  if (rest.empty()) return type;
  if (rest[0] != 'x') return refuse();
  rest.remove_prefix(1);
  const int lanes = TakeNumber(rest);
  if (lanes < 2 || lanes > kMaxLanes || !rest.empty()) return refuse();
  return type.WithLanes(lanes);
}

}  // namespace tessera::ir
