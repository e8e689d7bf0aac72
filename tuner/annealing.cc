#include <algorithm>
#include <cmath>
#include <limits>

#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// AutoTVM (arXiv:1805.08166) lets chains run on predicted scores only and jump to uniformly random
// knob values. Here a chain stands on a *measured* point and moves by Metropolis' rule on measured
// time as the log brings results in, so it persists without any state beside the log; between two
// batches, walkers start from the chains and search their neighbourhood on predicted scores.
constexpr int kChains = 32;
constexpr int kWalkers = 64;
constexpr size_t kElites = 16;     // walkers that start from the fastest points
constexpr int kFreshWalkers = 12;  // start from random samples
constexpr int kSteps = 32;
// Initial temperature of the chains: a move that is 20 % slower is accepted with 1/e.
constexpr double kChainTemperature = 0.2;

struct Chain {
  Point point;
  double cost_seconds = std::numeric_limits<double>::infinity();
};

double StandardDeviation(absl::Span<const float> values) {
  double mean = 0;
  for (float v : values) mean += v;
  mean /= static_cast<double>(values.size());
  double sum = 0;
  for (float v : values) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

class AnnealingExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "annealing"; }
  bool UsesModel() const override { return true; }

  void Observe(const TaskView&, const Observation& observation, Rng rng) override {
    Chain& chain = chains_[observed_++ % kChains];
    if (!observation.ok) return;
    if (!chain.point.empty()) {
      const double slower_by = std::log(observation.cost_seconds / chain.cost_seconds);
      const double temperature = kChainTemperature * (1 - observation.budget_share) + 1e-6;
      if (slower_by > 0 && !rng.Chance(std::exp(-slower_by / temperature))) return;
    }
    chain.point = observation.point;
    chain.cost_seconds = observation.cost_seconds;
  }

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const override {
    std::vector<Point> walkers = Starts(view, rng);
    std::vector<float> scores = ScorePoints(view, walkers);
    if (scores.empty()) return {};
    const double spread = std::max(StandardDeviation(scores), 1e-9);

    Visited visited(view);
    visited.Add(walkers, scores);
    std::vector<Point> moved(walkers.size());
    for (int step = 0; step < kSteps; ++step) {
      const double temperature = spread * (1 - static_cast<double>(step) / kSteps);
      for (size_t i = 0; i < walkers.size(); ++i) moved[i] = view.space.Mutate(walkers[i], rng);
      const std::vector<float> moved_scores = ScorePoints(view, moved);
      if (moved_scores.empty()) break;
      visited.Add(moved, moved_scores);
      for (size_t i = 0; i < walkers.size(); ++i) {
        const double gain = static_cast<double>(moved_scores[i]) - scores[i];
        // One draw a move, whatever its gain: the stream's position never depends on scores.
        const double draw = rng.Uniform();
        if (gain >= 0 || draw < std::exp(gain / temperature)) {
          std::swap(walkers[i], moved[i]);
          scores[i] = moved_scores[i];
        }
      }
    }
    return std::move(visited).Best(count);
  }

 private:
  std::vector<Point> Starts(const TaskView& view, Rng& rng) const {
    std::vector<Point> starts = view.examples.Fastest(kElites);
    for (const Chain& chain : chains_) {
      if (!chain.point.empty()) starts.push_back(chain.point);
    }
    const size_t from_log = kWalkers - kFreshWalkers;
    if (starts.size() > from_log) starts.resize(from_log);
    while (starts.size() < kWalkers) starts.push_back(view.space.Sample(rng));
    return starts;
  }

  std::vector<Chain> chains_ = std::vector<Chain>(kChains);
  uint64_t observed_ = 0;
};

}  // namespace

std::unique_ptr<Explorer> MakeAnnealingExplorer() { return std::make_unique<AnnealingExplorer>(); }

}  // namespace tessera::tuner
