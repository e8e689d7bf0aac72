#include "base/statistics.h"

#include <algorithm>

#include "base/status.h"

namespace tessera {
namespace {

constexpr int kResamples = 2000;

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

}  // namespace tessera
