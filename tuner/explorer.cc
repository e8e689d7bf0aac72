#include "tuner/explorer.h"

#include <utility>

#include "base/names.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::tuner {
namespace {

std::unique_ptr<Explorer> MakePortfolio() {
  std::vector<std::unique_ptr<Explorer>> members;
  members.push_back(MakeAnnealingExplorer());
  members.push_back(MakeEvolutionExplorer());
  members.push_back(MakeDescentExplorer());
  return MakePortfolioExplorer(std::move(members));
}

}  // namespace

absl::Span<const ExplorerKind> ExplorerKinds() {
  static constexpr ExplorerKind kKinds[] = {
      {"annealing", "walks from the fastest programs, by simulated annealing",
       MakeAnnealingExplorer},
      {"autotvm", "simulated annealing and batches as AutoTVM has them: a baseline",
       MakeAutoTvmExplorer},
      {"descent", "the best program's neighbours, one knob moved, until none is better",
       MakeDescentExplorer},
      {"evolution", "generations that are crossed and mutated", MakeEvolutionExplorer},
      {"grid", "every program in order, without a model", MakeGridExplorer},
      {"portfolio", "annealing, descent and evolution, each as often as it earns", MakePortfolio},
      {"random", "random programs, without a model", MakeRandomExplorer},
      {"rl", "edits by a policy that learns which ones made programs faster", MakeRlExplorer},
  };
  return kKinds;
}

std::string ExplorerNames() { return NamesOf(ExplorerKinds()); }

absl::StatusOr<std::unique_ptr<Explorer>> MakeExplorer(std::string_view name) {
  for (const ExplorerKind& kind : ExplorerKinds()) {
    if (kind.name == name) return kind.make();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("explorer '", AbslView(name), "' is not known; choose ", ExplorerNames()));
}

}  // namespace tessera::tuner
