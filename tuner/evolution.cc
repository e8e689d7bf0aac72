#include <algorithm>
#include <numeric>
#include <utility>

#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// As Ansor (arXiv:2006.06762 §5.1) and Woodpecker-DL (arXiv:2008.04567): fitness is the predicted
// score. A generation's fittest survive beside their children.
constexpr size_t kPopulation = 512;
constexpr size_t kSeeds = 128;  // of the first generation: the fastest points; the others sampled
constexpr int kGenerations = 4;
constexpr double kCrossover = 0.3;  // of the children; the others are mutated
constexpr int kTournament = 3;

struct Population {
  std::vector<Point> points;
  std::vector<float> scores;
};

const Point& Parent(const Population& population, Rng& rng) {
  size_t best = rng.Below(population.points.size());
  for (int i = 1; i < kTournament; ++i) {
    const size_t rival = rng.Below(population.points.size());
    if (population.scores[rival] > population.scores[best]) best = rival;
  }
  return population.points[best];
}

class EvolutionExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "evolution"; }
  bool UsesModel() const override { return true; }
  void Observe(const TaskView&, const Observation&, Rng) override {}

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const override {
    Population population;
    population.points = view.examples.Fastest(kSeeds);
    while (population.points.size() < kPopulation) {
      population.points.push_back(view.space.Sample(rng));
    }
    population.scores = ScorePoints(view, population.points);
    Visited visited(view);
    visited.Add(population.points, population.scores);
    for (int generation = 0; generation < kGenerations; ++generation) {
      if (population.scores.empty()) break;  // without features
      Population children;
      for (size_t i = 0; i < kPopulation; ++i) {
        const Point& parent = Parent(population, rng);
        children.points.push_back(rng.Chance(kCrossover)
                                      ? view.space.Crossover(parent, Parent(population, rng), rng)
                                      : view.space.Mutate(parent, rng));
      }
      children.scores = ScorePoints(view, children.points);
      visited.Add(children.points, children.scores);
      population = Fittest(std::move(population), std::move(children));
    }
    return std::move(visited).Best(count);
  }

 private:
  // Of both, each point once, so that none takes over by copies of it.
  static Population Fittest(Population old, Population children) {
    std::move(children.points.begin(), children.points.end(), std::back_inserter(old.points));
    old.scores.insert(old.scores.end(), children.scores.begin(), children.scores.end());
    std::vector<size_t> order(old.scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return old.scores[a] > old.scores[b]; });
    Population fittest;
    absl::flat_hash_set<uint64_t> hashes;
    for (size_t i : order) {
      if (fittest.points.size() == kPopulation) break;
      if (!hashes.insert(HashPoint(old.points[i])).second) continue;
      fittest.points.push_back(std::move(old.points[i]));
      fittest.scores.push_back(old.scores[i]);
    }
    return fittest;
  }
};

}  // namespace

std::unique_ptr<Explorer> MakeEvolutionExplorer() { return std::make_unique<EvolutionExplorer>(); }

}  // namespace tessera::tuner
