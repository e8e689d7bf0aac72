#include "tuner/paces.h"

#include <algorithm>
#include <limits>

namespace tessera::tuner {
namespace {

constexpr Fastest kNone = {std::numeric_limits<double>::infinity()};

}  // namespace

int Paces::NumberOf(std::string_view device) {
  const auto found = std::ranges::find(devices_, device);
  if (found != devices_.end()) return static_cast<int>(found - devices_.begin());
  devices_.emplace_back(device);
  return static_cast<int>(devices_.size()) - 1;
}

std::vector<double> Paces::Set(std::string_view device, double ratio) {
  std::vector<double> factors;
  for (size_t i = 0; i < devices_.size(); ++i) factors.push_back(Factor(static_cast<int>(i)));
  ratios_[std::string(device)] = ratio;
  bool changed = false;
  for (size_t i = 0; i < devices_.size(); ++i) {
    factors[i] = Factor(static_cast<int>(i)) / factors[i];
    changed = changed || factors[i] != 1;
  }
  if (!changed) factors.clear();
  return factors;
}

double Paces::Of(std::string_view device) const {
  const auto found = ratios_.find(device);
  return found == ratios_.end() ? 1 : found->second;
}

void FastestOfDevices::Add(int device, const Fastest& program) {
  const auto place = static_cast<size_t>(device);
  if (place >= by_device_.size()) by_device_.resize(place + 1, kNone);
  if (program.seconds < by_device_[place].seconds) by_device_[place] = program;
}

void FastestOfDevices::Scale(absl::Span<const double> factors) {
  for (size_t i = 0; i < std::min(by_device_.size(), factors.size()); ++i) {
    by_device_[i].seconds *= factors[i];
  }
}

Fastest FastestOfDevices::Best() const {
  const auto is_better = [](const Fastest& a, const Fastest& b) {
    return a.seconds != b.seconds ? a.seconds < b.seconds : a.trial < b.trial;
  };
  return by_device_.empty() ? kNone : *std::ranges::min_element(by_device_, is_better);
}

}  // namespace tessera::tuner
