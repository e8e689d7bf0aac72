#include "base/statistics.h"

#include <catch2/catch.hpp>
#include <limits>

namespace tessera {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

TEST_CASE("the median is the middle value or the mean of two", "[statistics]") {
  CHECK(Median({3}) == 3);
  CHECK(Median({5, 1, 3}) == 3);
  CHECK(Median({4, 1, 3, 2}) == 2.5);
  CHECK(Median({kNever, 1, 2}) == 2);
  CHECK(Median({kNever, 1}) == kNever);
}

TEST_CASE("the same values and seed give the same interval around the median", "[statistics]") {
  const std::vector<double> values = {9, 1, 8, 2, 7, 3, 6, 4, 5, kNever};
  const Interval interval = MedianInterval(values, 0.9, Rng(1));
  CHECK(interval.low <= Median(values));
  CHECK(interval.high >= Median(values));
  CHECK(interval.low > 1);
  CHECK(interval.high < kNever);
  const Interval again = MedianInterval(values, 0.9, Rng(1));
  CHECK(again.low == interval.low);
  CHECK(again.high == interval.high);
  const Interval single = MedianInterval({4.0}, 0.9, Rng(1));
  CHECK(single.low == 4);
  CHECK(single.high == 4);
}

TEST_CASE("intervals hold the true median about as often as they say", "[statistics]") {
  Rng rng(5);
  for (const int count : {10, 40}) {
    int held = 0;
    const int rounds = 400;
    for (int round = 0; round < rounds; ++round) {
      std::vector<double> values(count);
      for (double& value : values) value = rng.Uniform();
      const Interval interval = MedianInterval(values, 0.9, rng.Fork("resamples"));
      held += interval.low <= 0.5 && interval.high >= 0.5;
    }
    CAPTURE(count, held);
    CHECK(held > 0.83 * rounds);
    CHECK(held < 0.97 * rounds);
  }
}

}  // namespace
}  // namespace tessera
