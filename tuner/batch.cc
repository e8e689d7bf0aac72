#include "tuner/batch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

// How much the result of one says about the other, in [0, 1].
double Likeness(const Point& a, const Point& b) {
  if (a[0] != b[0]) return 0;
  int different = 0;
  for (size_t i = 0; i < a.size(); ++i) different += a[i] != b[i];
  return different == 0 ? 1 : std::exp2(1 - different);
}

// Of mean 0 and variance 1, nearly normal, and the same on every machine.
double Normal(Rng& rng) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += rng.Uniform();
  return sum;
}

struct Range {
  double low = 0, size = 0;
  double Scaled(double value) const { return size > 0 ? (value - low) / size : 1; }
};

template <typename Values, typename Of>
Range RangeOf(const Values& values, const Of& of) {
  const auto [low, high] = std::ranges::minmax_element(values, {}, of);
  return {of(*low), static_cast<double>(of(*high)) - of(*low)};
}

}  // namespace

Outlook Expect(const TaskView& view, absl::Span<const Candidate> pool,
               absl::Span<const Point> in_flight) {
  Outlook outlook;
  if (pool.empty()) return outlook;
  const Range scores = RangeOf(pool, [](const Candidate& candidate) { return candidate.score; });
  for (const Candidate& candidate : pool) outlook.scores.push_back(scores.Scaled(candidate.score));
  if (view.ranker == nullptr) return outlook;

  std::vector<Point> points;
  for (const Candidate& candidate : pool) points.push_back(candidate.point);
  points.insert(points.end(), in_flight.begin(), in_flight.end());
  const absl::StatusOr<std::vector<float>> rows = view.space.Features(points);
  if (!rows.ok()) return outlook;
  const costmodel::Scores predicted =
      view.ranker->ScoreWithDeviation(*rows, view.space.FeatureCount());
  // Candidates' scores may be of another unit: what is predicted counts by its place among what is
  // predicted of the pool.
  const auto of_pool = absl::MakeConstSpan(predicted.mean).first(pool.size());
  const Range range = RangeOf(of_pool, [](float score) { return score; });
  if (range.size <= 0) return outlook;
  for (size_t i = 0; i < pool.size() && !predicted.deviation.empty(); ++i) {
    outlook.deviations.push_back(predicted.deviation[i] / range.size);
  }
  for (size_t i = pool.size(); i < points.size(); ++i) {
    outlook.in_flight.push_back(std::clamp(range.Scaled(predicted.mean[i]), 0.0, 1.0));
  }
  return outlook;
}

std::vector<int> SelectBatch(absl::Span<const Candidate> pool, absl::Span<const Point> in_flight,
                             const Outlook& outlook, int count, const BatchOptions& options,
                             Rng& rng) {
  if (pool.empty()) return {};
  const double lie = std::accumulate(outlook.scores.begin(), outlook.scores.end(), 0.0) /
                     static_cast<double>(pool.size());
  absl::flat_hash_set<uint64_t> covered;
  std::vector<double> lost(pool.size(), 0);  // of each candidate's score, to the liar
  const auto cover = [&](const Point& point, double score) {
    for (uint64_t value : KnobValues(point)) covered.insert(value);
    const double promise = options.liar * std::max(0.0, score - lie);
    for (size_t i = 0; i < pool.size(); ++i) {
      lost[i] = std::max(lost[i], promise * Likeness(pool[i].point, point));
    }
  };
  for (size_t i = 0; i < in_flight.size(); ++i) {
    cover(in_flight[i], outlook.in_flight.empty() ? 0 : outlook.in_flight[i]);
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
      const double surprise = outlook.deviations.empty() ? 0 : outlook.deviations[i] * Normal(rng);
      if (taken[i]) continue;
      int fresh = 0;
      for (uint64_t value : values[i]) fresh += !covered.contains(value);
      const double share = static_cast<double>(fresh) / static_cast<double>(values[i].size());
      const double gain = outlook.scores[i] + surprise - lost[i] + options.diversity * share;
      if (best < 0 || gain > best_gain) {
        best = static_cast<int>(i);
        best_gain = gain;
      }
    }
    taken[best] = true;
    chosen.push_back(best);
    cover(pool[best].point, outlook.scores[best]);
  }
  return chosen;
}

}  // namespace tessera::tuner
