#include "base/statistics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
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

// Sum of uniform numbers, of deviation 1.
double Noise(Rng& rng) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += rng.Uniform();
  return sum;
}

TEST_CASE("a comparison in pairs gives the ratio whatever both share", "[statistics]") {
  std::vector<double> a, b;
  Rng rng(1);
  for (int i = 0; i < 20; ++i) {
    a.push_back(std::exp(3 * Noise(rng)));  // the machine's mood, to both alike
    b.push_back(1.25 * a.back());
  }
  b[3] *= 50;  // a disturbance
  a[8] *= 50;
  const RatioEstimate estimate = CompareInPairs(a, b, 0.99);
  CHECK(estimate.ratio == Approx(1.25));
  CHECK(estimate.interval.low == Approx(1.25));
  CHECK(estimate.interval.high == Approx(1.25));
  const RatioEstimate inverse = CompareInPairs(b, a, 0.99);
  CHECK(inverse.ratio == Approx(1 / 1.25));
}

TEST_CASE("pairs too few for the confidence give an interval of everything", "[statistics]") {
  const std::vector<double> a(12, 1.0), b(12, 0.5);
  for (size_t n = 1; n <= a.size(); ++n) {
    CAPTURE(n);
    const RatioEstimate estimate =
        CompareInPairs(absl::MakeSpan(a).first(n), absl::MakeSpan(b).first(n), 0.99);
    CHECK(estimate.ratio == Approx(0.5));
    // All of n alike programs are faster by chance with probability 2^-n.
    CHECK((estimate.interval.high < 1) == (std::exp2(-static_cast<double>(n)) <= 0.005));
    CHECK((estimate.interval.low > 0) == (estimate.interval.high < 1));
  }
}

TEST_CASE("the signed-rank interval has the table's ends", "[statistics]") {
  // Wilcoxon's table: of 20 pairs the 37 smallest sums after 0 have at most 0.5 % on one side.
  std::vector<double> a(20, 1.0), b;
  for (int i = 0; i < 20; ++i) b.push_back(std::exp(i));
  std::vector<double> means;
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j <= i; ++j) means.push_back((i + j) / 2.0);
  }
  std::sort(means.begin(), means.end());
  const RatioEstimate estimate = CompareInPairs(a, b, 0.99);
  CHECK(std::log(estimate.interval.low) == Approx(means[37]));
  CHECK(std::log(estimate.interval.high) == Approx(means[means.size() - 38]));
}

TEST_CASE("like programs are told apart as seldom as the interval says, under any noise",
          "[statistics]") {
  Rng rng(9);
  for (const int count : {10, 20, 40}) {
    for (const bool bursts : {false, true}) {
      int faster = 0, slower = 0;
      const int rounds = 2000;
      for (int round = 0; round < rounds; ++round) {
        std::vector<double> a, b;
        for (int i = 0; i < count; ++i) {
          for (std::vector<double>* values : {&a, &b}) {
            values->push_back(std::exp(0.02 * Noise(rng)) * (bursts && rng.Chance(0.1) ? 5 : 1));
          }
        }
        const Interval interval = CompareInPairs(a, b, 0.98).interval;
        faster += interval.high < 1;
        slower += interval.low > 1;
      }
      CAPTURE(count, bursts, faster, slower);
      CHECK(faster < 0.015 * rounds);
      CHECK(slower < 0.015 * rounds);
      CHECK(faster + slower > 0.004 * rounds);  // and not for being wide
    }
  }
}

}  // namespace
}  // namespace tessera
