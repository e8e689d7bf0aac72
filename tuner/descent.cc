#include <utility>

#include "tuner/walk.h"

namespace tessera::tuner {
namespace {

// Coordinate descent (Droplet Search, Canesche et al., CC 2024): the neighbours of the fastest
// point, one knob moved, those first that the model expects most of. It moves on when one of them
// is faster; where all are measured and none is, to the neighbours of the next best.
constexpr size_t kStarts = 16;

class DescentExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "descent"; }
  bool UsesModel() const override { return true; }
  void Observe(const TaskView&, const Observation&, Rng) override {}

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng&) const override {
    std::vector<Candidate> found;
    absl::flat_hash_set<uint64_t> hashes;
    for (const Point& start : view.examples.Fastest(kStarts)) {
      std::vector<Point> neighbours = view.space.Neighbours(start);
      std::erase_if(neighbours, [&](const Point& neighbour) {
        return view.known_points.contains(HashPoint(neighbour));
      });
      Visited visited(view);
      visited.Add(neighbours, ScorePoints(view, neighbours));
      for (Candidate& candidate : std::move(visited).Best(count)) {
        if (static_cast<int>(found.size()) == count) return found;
        if (hashes.insert(HashPoint(candidate.point)).second) found.push_back(std::move(candidate));
      }
    }
    return found;
  }
};

}  // namespace

std::unique_ptr<Explorer> MakeDescentExplorer() { return std::make_unique<DescentExplorer>(); }

}  // namespace tessera::tuner
