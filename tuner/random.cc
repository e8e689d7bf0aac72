#include <utility>

#include "tuner/explorer.h"

namespace tessera::tuner {
namespace {

class RandomExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "random"; }
  bool UsesModel() const override { return false; }
  void Observe(const TaskView&, const Observation&, Rng) override {}

  std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const override {
    std::vector<Candidate> found;
    absl::flat_hash_set<uint64_t> drawn;
    // Small spaces run dry: give up after a bounded number of draws.
    for (int draw = 0; draw < 20 * count && static_cast<int>(found.size()) < count; ++draw) {
      Point point = view.space.Sample(rng);
      const uint64_t hash = HashPoint(point);
      if (view.known_points.contains(hash) || !drawn.insert(hash).second) continue;
      found.push_back({std::move(point)});
    }
    return found;
  }
};

}  // namespace

std::unique_ptr<Explorer> MakeRandomExplorer() { return std::make_unique<RandomExplorer>(); }

}  // namespace tessera::tuner
