#include "base/test_data.h"

namespace tessera {
namespace {

uint64_t Mix(uint64_t seed, int buffer, int64_t index) {
  uint64_t z = seed ^ (static_cast<uint64_t>(buffer + 1) * 0xd1342543de82ef95u) ^
               (static_cast<uint64_t>(index) * 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

double TestValue(uint64_t seed, int buffer, int64_t index) {
  return static_cast<double>(TestInteger(seed, buffer, index, -64, 64)) / 64.0;
}

int64_t TestInteger(uint64_t seed, int buffer, int64_t index, int64_t low, int64_t high) {
  const auto range = static_cast<uint64_t>(high - low + 1);
  return low + static_cast<int64_t>(Mix(seed, buffer, index) % range);
}

}  // namespace tessera
