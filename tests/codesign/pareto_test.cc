#include "codesign/pareto.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/rng.h"

namespace tessera::codesign {
namespace {

TEST_CASE("better in one and worse in none dominates", "[codesign]") {
  CHECK(Dominates({1, 2}, {1, 3}));
  CHECK_FALSE(Dominates({1, 2}, {1, 2}));
  CHECK_FALSE(Dominates({1, 2}, {2, 1}));
  CHECK_FALSE(Dominates({1, 3}, {1, 2}));
}

TEST_CASE("each front is what none of those behind or on it dominates", "[codesign]") {
  const uint64_t seed = GENERATE(range<uint64_t>(0, 20));
  CAPTURE(seed);
  Rng rng(seed);
  std::vector<Costs> all;
  for (int i = 0; i < 60; ++i) {
    // Few values, so that some are equal.
    all.push_back({static_cast<double>(rng.Below(6)), static_cast<double>(rng.Below(6)),
                   static_cast<double>(rng.Below(6))});
  }
  const std::vector<int> fronts = FrontsOf(all);
  std::vector<size_t> first;
  for (size_t i = 0; i < all.size(); ++i) {
    if (fronts[i] == 0) first.push_back(i);
    int worst = -1;  // of the fronts that dominate it
    for (size_t other = 0; other < all.size(); ++other) {
      if (Dominates(all[other], all[i])) worst = std::max(worst, fronts[other]);
    }
    CHECK(fronts[i] == worst + 1);
  }
  CHECK(FirstFront(all) == first);
}

}  // namespace
}  // namespace tessera::codesign
