#include "tuner/explorer.h"

#include <utility>

#include "base/status.h"
#include "base/view.h"
#include "tuner/explorer_names.h"

namespace tessera::tuner {
namespace {

class RandomExplorer final : public Explorer {
 public:
  std::string_view Name() const override { return "random"; }
  bool UsesModel() const override { return false; }
  void Observe(const Observation&, Rng) override {}

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

absl::StatusOr<std::unique_ptr<Explorer>> MakeExplorer(std::string_view name) {
  if (name == "annealing") return MakeAnnealingExplorer();
  if (name == "descent") return MakeDescentExplorer();
  if (name == "evolution") return MakeEvolutionExplorer();
  if (name == "grid") return MakeGridExplorer();
  if (name == "random") return MakeRandomExplorer();
  if (name == "portfolio") {
    std::vector<std::unique_ptr<Explorer>> members;
    members.push_back(MakeAnnealingExplorer());
    members.push_back(MakeEvolutionExplorer());
    members.push_back(MakeDescentExplorer());
    return MakePortfolioExplorer(std::move(members));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("explorer '", AbslView(name), "' is not known; choose ", ExplorerNames()));
}

}  // namespace tessera::tuner
