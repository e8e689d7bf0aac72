#include "compiler/ir/text_names.h"

#include <algorithm>

namespace tessera::ir {
namespace {

constexpr size_t kMaxName = 200;

// Sorted.
constexpr std::string_view kReserved[] = {
    "allocate", "async_copy", "async_wait", "barrier",     "bit_and",  "bit_or",
    "bit_xor",  "broadcast",  "call",       "cast",        "cast_sat", "else",
    "eval",     "false",      "for",        "if",          "in",       "inf",
    "max",      "min",        "nan",        "program",     "ramp",     "sat_add",
    "sat_sub",  "select",     "shift_left", "shift_right", "stream",   "true",
};
static_assert(std::is_sorted(std::begin(kReserved), std::end(kReserved)));

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNameCharacter(char c) { return IsLetter(c) || (c >= '0' && c <= '9') || c == '.'; }

}  // namespace

bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && IsLetter(name[0]) &&
         std::all_of(name.begin(), name.end(), IsNameCharacter) &&
         !std::binary_search(std::begin(kReserved), std::end(kReserved), name);
}

std::string PlainName(std::string_view name) {
  if (IsPlainName(name)) return std::string(name);
  std::string plain(name.substr(0, kMaxName - 1));
  for (char& c : plain) {
    if (!IsNameCharacter(c)) c = '_';
  }
  if (!IsPlainName(plain)) plain.insert(plain.begin(), '_');
  return plain;
}

}  // namespace tessera::ir
