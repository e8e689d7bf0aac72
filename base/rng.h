#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "absl/types/span.h"

namespace tessera {

// xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64. The same seed gives the same
// numbers on every platform. The state is a value: copy it to persist or to fork a stream.
class Rng {
 public:
  using State = std::array<uint64_t, 4>;

  explicit Rng(uint64_t seed);
  static Rng FromState(const State& state);
  const State& state() const { return state_; }

  // An independent stream for a named purpose; does not advance this one.
  Rng Fork(std::string_view purpose) const;

  uint64_t Next();
  // Uniform in [0, bound). Requires bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high], both included.
  int64_t Between(int64_t low, int64_t high);
  // Uniform in [0, 1).
  double Uniform();
  bool Chance(double probability) { return Uniform() < probability; }

  template <typename T>
  void Shuffle(absl::Span<T> values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  Rng() = default;
  State state_;
};

}  // namespace tessera
