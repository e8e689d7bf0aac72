#include "base/rng.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

namespace tessera {
namespace {

TEST_CASE("the same seed gives the same numbers in every release", "[rng]") {
  Rng rng(1);
  CHECK(rng.Next() == 0xb3f2af6d0fc710c5u);
  CHECK(rng.Next() == 0x853b559647364ceau);
}

TEST_CASE("a copied state continues the stream", "[rng]") {
  Rng rng(7);
  rng.Next();
  Rng copy = Rng::FromState(rng.state());
  for (int i = 0; i < 100; ++i) REQUIRE(rng.Next() == copy.Next());
}

TEST_CASE("a fork is independent of its parent and of other purposes", "[rng]") {
  Rng parent(7);
  Rng a = parent.Fork("explore"), b = parent.Fork("measure"), again = parent.Fork("explore");
  CHECK(parent.state() == Rng(7).state());
  const uint64_t first = a.Next();
  CHECK(first == again.Next());
  CHECK(first != b.Next());
  CHECK(first != parent.Next());
}

TEST_CASE("Below reaches every value about equally often", "[rng]") {
  Rng rng(3);
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) ++counts[rng.Below(10)];
  for (int count : counts) {
    CHECK(count > 9500);
    CHECK(count < 10500);
  }
}

TEST_CASE("Between includes both ends and takes the whole range of integers", "[rng]") {
  Rng rng(5);
  bool low = false, high = false;
  for (int i = 0; i < 1000; ++i) {
    const int64_t value = rng.Between(-2, 2);
    REQUIRE(value >= -2);
    REQUIRE(value <= 2);
    low = low || value == -2;
    high = high || value == 2;
  }
  CHECK(low);
  CHECK(high);
  CHECK(rng.Between(4, 4) == 4);
}

TEST_CASE("Uniform stays in [0, 1) with mean one half", "[rng]") {
  Rng rng(11);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double value = rng.Uniform();
    REQUIRE(value >= 0);
    REQUIRE(value < 1);
    sum += value;
  }
  CHECK(sum / 100000 == Approx(0.5).margin(0.01));
}

TEST_CASE("Shuffle permutes", "[rng]") {
  Rng rng(13);
  std::vector<int> values(50);
  std::iota(values.begin(), values.end(), 0);
  std::vector<int> shuffled = values;
  rng.Shuffle(absl::MakeSpan(shuffled));
  CHECK(shuffled != values);
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == values);
}

}  // namespace
}  // namespace tessera
