#include "tuner/examples.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "base/rng.h"

namespace tessera::test {
namespace {

constexpr double kFailed = std::numeric_limits<double>::infinity();

std::vector<int64_t> Numbers(const tuner::Examples& examples) {
  std::vector<int64_t> numbers;
  for (const tuner::Example* example : examples.All()) numbers.push_back(example->number);
  return numbers;
}

TEST_CASE("all examples are kept while they are few, in the order of their results", "[tuner]") {
  tuner::Examples examples({.newest = 10, .fastest = 2, .sampled = 10}, 1);
  std::vector<int64_t> expected;
  for (int i = 0; i < 20; ++i) {
    examples.Add({i}, i % 3 == 0 ? kFailed : 1.0 + i);
    expected.push_back(i);
    REQUIRE(Numbers(examples) == expected);
  }
}

TEST_CASE("of many examples the newest, the fastest and a sample stay", "[tuner]") {
  tuner::Examples examples({.newest = 30, .fastest = 5, .sampled = 40}, 2);
  Rng rng(3);
  for (int i = 0; i < 5000; ++i) {
    const bool fast = i % 1000 == 77;
    examples.Add({i, 7}, fast ? 1e-3 + 1e-9 * i : rng.Chance(0.2) ? kFailed : 1 + rng.Uniform());
    REQUIRE(examples.All().size() <= 75);
  }
  const std::vector<int64_t> numbers = Numbers(examples);
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  const std::set<int64_t> kept(numbers.begin(), numbers.end());
  CHECK(kept.size() == 75);
  for (int i = 4970; i < 5000; ++i) CHECK(kept.contains(i));
  for (int i = 77; i < 5000; i += 1000) CHECK(kept.contains(i));
  // A uniform sample has about half of its 40 in each half: five standard deviations.
  const auto old =
      std::count_if(numbers.begin(), numbers.end(), [](int64_t n) { return n < 2500; });
  CHECK(old > 20 - 16);
  CHECK(old < 20 + 16 + 3);
  CHECK(examples.Fastest(3) == std::vector<tuner::Point>{{77, 7}, {1077, 7}, {2077, 7}});
  CHECK(examples.Fastest(100).size() == 5);
  CHECK(examples.MemoryBytes() < 75 * 256);
}

TEST_CASE("which examples stay depends on the seed and their order alone", "[tuner]") {
  const auto kept = [](uint64_t seed) {
    tuner::Examples examples({.newest = 5, .fastest = 5, .sampled = 20}, seed);
    for (int i = 0; i < 500; ++i) examples.Add({i}, 1 + (i * 37) % 101);
    return Numbers(examples);
  };
  CHECK(kept(1) == kept(1));
  CHECK(kept(1) != kept(2));
}

TEST_CASE("failures are examples and never among the fastest; the older of equals is first",
          "[tuner]") {
  tuner::Examples examples({.newest = 10, .fastest = 3, .sampled = 0}, 1);
  examples.Add({0}, kFailed);
  examples.Add({1}, 2);
  examples.Add({2}, 1);
  examples.Add({3}, 1);
  CHECK(examples.All().size() == 4);
  CHECK(examples.Fastest(9) == std::vector<tuner::Point>{{2}, {3}, {1}});
}

}  // namespace
}  // namespace tessera::test
