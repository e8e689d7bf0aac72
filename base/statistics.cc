#include "base/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/status.h"

namespace tessera {
namespace {

constexpr int kResamples = 2000;
constexpr size_t kMaxPairs = 256;

// Of the sums that the ranks of the positive ones among `n` symmetric values can have, how many of
// the smallest have a probability of at most `tail` together.
size_t SmallestRankSums(size_t n, double tail) {
  const size_t sums = n * (n + 1) / 2 + 1;
  // probability[s]: of the ranks so far, each of which counts or doesn't.
  std::vector<double> probability(sums, 0);
  probability[0] = 1;
  for (size_t rank = 1; rank <= n; ++rank) {
    for (size_t sum = sums; sum-- > 0;) {
      probability[sum] = (probability[sum] + (sum >= rank ? probability[sum - rank] : 0)) / 2;
    }
  }
  size_t count = 0;
  for (double below = probability[0]; below <= tail; below += probability[++count]) {
  }
  return count;
}

}  // namespace

double Median(std::vector<double> values) {
  TESSERA_CHECK(!values.empty());
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

Interval MedianInterval(absl::Span<const double> values, double confidence, Rng rng) {
  TESSERA_CHECK(!values.empty() && confidence > 0 && confidence < 1);
  std::vector<double> medians(kResamples);
  std::vector<double> resample(values.size());
  for (double& median : medians) {
    for (double& value : resample) value = values[rng.Below(values.size())];
    median = Median(resample);
  }
  std::sort(medians.begin(), medians.end());
  const auto cut = static_cast<size_t>((1 - confidence) / 2 * kResamples);
  return {medians[cut], medians[medians.size() - 1 - cut]};
}

RatioEstimate CompareInPairs(absl::Span<const double> a, absl::Span<const double> b,
                             double confidence) {
  TESSERA_CHECK(!a.empty() && a.size() == b.size() && a.size() <= kMaxPairs);
  TESSERA_CHECK(confidence > 0 && confidence < 1);
  std::vector<double> logs, means;  // the means of two logarithms, each with itself included
  for (size_t i = 0; i < a.size(); ++i) {
    logs.push_back(std::log(b[i] / a[i]));
    for (const double other : logs) means.push_back((logs.back() + other) / 2);
  }
  std::sort(means.begin(), means.end());
  RatioEstimate estimate = {std::exp(Median(means)), {0, std::numeric_limits<double>::infinity()}};
  const size_t cut = SmallestRankSums(a.size(), (1 - confidence) / 2);
  if (cut > 0) {
    estimate.interval = {std::exp(means[cut - 1]), std::exp(means[means.size() - cut])};
  }
  return estimate;
}

}  // namespace tessera
