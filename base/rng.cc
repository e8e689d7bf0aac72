#include "base/rng.h"

#include "base/hash.h"
#include "base/status.h"

namespace tessera {
namespace {

uint64_t RotateLeft(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t SplitMix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix(seed);
}

Rng Rng::FromState(const State& state) {
  Rng rng;
  rng.state_ = state;
  return rng;
}

Rng Rng::Fork(std::string_view purpose) const {
  StableHasher hasher;
  for (uint64_t word : state_) hasher.Add(word);
  return Rng(hasher.Add(purpose).Finish());
}

uint64_t Rng::Next() {
  const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

uint64_t Rng::Below(uint64_t bound) {
  TESSERA_CHECK(bound > 0);
  // Rejection keeps the distribution exact; at most one retry is expected.
  const uint64_t limit = ~uint64_t{0} - (~uint64_t{0} % bound + 1) % bound;
  uint64_t value;
  do value = Next();
  while (value > limit);
  return value % bound;
}

int64_t Rng::Between(int64_t low, int64_t high) {
  TESSERA_CHECK(low <= high);
  return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
}

double Rng::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

}  // namespace tessera
