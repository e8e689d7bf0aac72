#include "tuner/walk.h"

#include <algorithm>

namespace tessera::tuner {

std::vector<float> ScorePoints(const TaskView& view, absl::Span<const Point> points) {
  if (points.empty()) return {};
  const absl::StatusOr<std::vector<float>> rows = view.space.Features(points);
  if (!rows.ok()) return {};
  return view.ranker->Score(*rows, view.space.FeatureCount());
}

void Visited::Add(absl::Span<const Point> points, absl::Span<const float> scores) {
  for (size_t i = 0; i < scores.size(); ++i) {
    const uint64_t hash = HashPoint(points[i]);
    if (known_.contains(hash) || !added_.insert(hash).second) continue;
    candidates_.push_back({hash, {points[i], scores[i]}});
  }
}

std::vector<Candidate> Visited::Best(int count) && {
  const size_t kept = std::min(candidates_.size(), static_cast<size_t>(count));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(kept),
                    candidates_.end(), [](const auto& a, const auto& b) {
                      if (a.second.score != b.second.score) return a.second.score > b.second.score;
                      return a.first < b.first;
                    });
  std::vector<Candidate> best;
  for (size_t i = 0; i < kept; ++i) best.push_back(std::move(candidates_[i].second));
  return best;
}

}  // namespace tessera::tuner
