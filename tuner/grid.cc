#include <optional>
#include <utility>

#include "tuner/explorer.h"

namespace tessera::tuner {
namespace {

class GridExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "grid"; }
  bool UsesModel() const override { return false; }

  // Whatever comes before a proposal of the grid was proposed before it.
  void Observe(const Observation& observation, Rng) override {
    if (observation.explorer == Name()) reached_ = observation.point;
  }

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng&) const override {
    std::vector<Candidate> found;
    std::optional<Point> point = view.space.Next(reached_);
    for (; point && static_cast<int>(found.size()) < count; point = view.space.Next(*point)) {
      if (!view.known_points.contains(HashPoint(*point))) found.push_back({*point});
    }
    return found;
  }

 private:
  Point reached_;  // empty before the first
};

}  // namespace

std::unique_ptr<Explorer> MakeGridExplorer() { return std::make_unique<GridExplorer>(); }

}  // namespace tessera::tuner
