#include "tuner/batch.h"

#include <algorithm>

#include "base/hash.h"

namespace tessera::tuner {
namespace {

// Values of knobs of different sketches are different values.
std::vector<uint64_t> KnobValues(const Point& point) {
  std::vector<uint64_t> values;
  values.reserve(point.size());
  for (size_t i = 0; i < point.size(); ++i) {
    values.push_back(StableHasher()
                         .Add(static_cast<uint64_t>(point[0]))
                         .Add(static_cast<uint64_t>(i))
                         .Add(static_cast<uint64_t>(point[i]))
                         .Finish());
  }
  return values;
}

}  // namespace

std::vector<int> SelectBatch(absl::Span<const Candidate> pool, int count,
                             absl::Span<const Point> in_flight, double diversity) {
  if (pool.empty()) return {};
  const auto [low, high] =
      std::minmax_element(pool.begin(), pool.end(),
                          [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  const double floor = low->score;
  const double range = static_cast<double>(high->score) - floor;

  absl::flat_hash_set<uint64_t> covered;
  for (const Point& point : in_flight) {
    for (uint64_t value : KnobValues(point)) covered.insert(value);
  }
  std::vector<std::vector<uint64_t>> values;
  values.reserve(pool.size());
  for (const Candidate& candidate : pool) values.push_back(KnobValues(candidate.point));

  std::vector<int> chosen;
  std::vector<bool> taken(pool.size(), false);
  while (static_cast<int>(chosen.size()) < count && chosen.size() < pool.size()) {
    int best = -1;
    double best_gain = 0;
    for (size_t i = 0; i < pool.size(); ++i) {
      if (taken[i]) continue;
      int fresh = 0;
      for (uint64_t value : values[i]) fresh += !covered.contains(value);
      const double share = values[i].empty()
                               ? 0
                               : static_cast<double>(fresh) / static_cast<double>(values[i].size());
      const double gain = (range > 0 ? (pool[i].score - floor) / range : 1) + diversity * share;
      if (best < 0 || gain > best_gain) {
        best = static_cast<int>(i);
        best_gain = gain;
      }
    }
    taken[best] = true;
    chosen.push_back(best);
    for (uint64_t value : values[best]) covered.insert(value);
  }
  return chosen;
}

}  // namespace tessera::tuner
