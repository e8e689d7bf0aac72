#include "tuner/examples.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/hash.h"

namespace tessera::tuner {

namespace {

constexpr auto kIsFaster = [](const auto& a, const auto& b) {
  return a->cost_seconds < b->cost_seconds;
};

}  // namespace

void Examples::Add(Point point, double cost_seconds, int device) {
  point.shrink_to_fit();
  const auto example =
      std::make_shared<Example>(Example{added_++, std::move(point), cost_seconds, device});
  newest_.push_back(example);
  if (newest_.size() > limits_.newest) {
    const auto number = static_cast<uint64_t>(newest_.front()->number);
    sampled_.emplace(StableHasher().Add(seed_).Add(number).Finish(), std::move(newest_.front()));
    newest_.pop_front();
    if (sampled_.size() > limits_.sampled) sampled_.erase(std::prev(sampled_.end()));
  }
  if (std::isfinite(cost_seconds)) {
    fastest_.insert(std::upper_bound(fastest_.begin(), fastest_.end(), example, kIsFaster),
                    example);
    if (fastest_.size() > limits_.fastest) fastest_.pop_back();
  }
}

std::vector<const Example*> Examples::All() const {
  const std::vector<Example*> each = Each();
  return {each.begin(), each.end()};
}

void Examples::Scale(absl::Span<const double> factors) {
  for (Example* example : Each()) {
    const auto device = static_cast<size_t>(example->device);
    if (device < factors.size()) example->cost_seconds *= factors[device];
  }
  std::stable_sort(fastest_.begin(), fastest_.end(), kIsFaster);
}

std::vector<Example*> Examples::Each() const {
  std::vector<Example*> all;
  for (const Shared& example : newest_) all.push_back(example.get());
  for (const Shared& example : fastest_) all.push_back(example.get());
  for (const auto& [hash, example] : sampled_) all.push_back(example.get());
  std::sort(all.begin(), all.end(),
            [](const auto* a, const auto* b) { return a->number < b->number; });
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<Point> Examples::Fastest(size_t count) const {
  std::vector<Point> points;
  for (size_t i = 0; i < std::min(count, fastest_.size()); ++i) {
    points.push_back(fastest_[i]->point);
  }
  return points;
}

size_t Examples::MemoryBytes() const {
  size_t bytes = newest_.size() * sizeof(Shared) + fastest_.capacity() * sizeof(Shared) +
                 sampled_.size() * sizeof(decltype(sampled_)::value_type);
  for (const Example* example : All()) {
    bytes += sizeof(Example) + example->point.capacity() * sizeof(Point::value_type);
  }
  return bytes;
}

}  // namespace tessera::tuner
