#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <charconv>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace tessera {
namespace {

constexpr size_t kSha256Bytes = 32;

}  // namespace

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

std::string Sha256Hex(std::string_view bytes) {
  // No file and no variable of the environment decides how digests are computed.
  static const int ready =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
  std::string digest(kSha256Bytes, '\0');
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                 /*size=*/nullptr, EVP_sha256(), /*impl=*/nullptr);
  TESSERA_CHECK(ready == 1 && done == 1);
  return absl::BytesToHexString(digest);
}

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
