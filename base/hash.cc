#include "base/hash.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tessera {

StableHasher& StableHasher::Add(std::string_view text) {
  uint64_t fnv = 0xcbf29ce484222325u;
  for (unsigned char c : text) fnv = (fnv ^ c) * 0x100000001b3u;
  Add(fnv);
  return Add(text.size());
}

uint64_t StableHasher::Finish() const {
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t StableHash(std::string_view text) { return StableHasher().Add(text).Finish(); }

std::string HashToHex(uint64_t hash) { return absl::StrFormat("%016x", hash); }

absl::StatusOr<uint64_t> HashFromHex(std::string_view hex) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (hex.size() != 16 || error != std::errc() || end != hex.data() + hex.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("hash \"", std::string(hex), "\" is not 16 hexadecimal digits"));
  }
  return value;
}

}  // namespace tessera
