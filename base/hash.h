#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera {

// Order-dependent 64-bit mixing, the same on every platform and in every release. Not for
// untrusted keys.
class StableHasher {
 public:
  StableHasher& Add(uint64_t value) {
    state_ ^= value + 0x9e3779b97f4a7c15u + (state_ << 6) + (state_ >> 2);
    state_ *= 0xff51afd7ed558ccdu;
    state_ ^= state_ >> 32;
    return *this;
  }
  StableHasher& Add(std::string_view text);
  uint64_t Finish() const;

 private:
  uint64_t state_ = 0x2545f4914f6cdd1du;
};

uint64_t StableHash(std::string_view text);

// SHA-256 of `bytes` as 64 lower-case hexadecimal digits: the identity of everything that is
// stored by content (artifacts, workloads, traces, models).
std::string Sha256Hex(std::string_view bytes);

// 16 lower-case hexadecimal digits.
std::string HashToHex(uint64_t hash);
absl::StatusOr<uint64_t> HashFromHex(std::string_view hex);

}  // namespace tessera
