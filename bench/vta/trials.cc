#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/statistics.h"
#include "base/status.h"
#include "bench/vta/measures.h"

namespace tessera::bench {
namespace {

constexpr double kNear = 1.05;

// What searches of all layers but one came to.
struct Others {
  std::vector<std::shared_ptr<SimulatedLayer>> layers;
  std::vector<const Search*> searches;
  std::string model;
};
absl::StatusOr<Others> OthersOf(const std::vector<TunedLayer>& tuned, size_t layer) {
  Others others;
  for (size_t i = 0; i < tuned.size(); ++i) {
    if (i == layer) continue;
    others.layers.push_back(tuned[i].layer);
    others.searches.push_back(&tuned[i].search);
  }
  TESSERA_ASSIGN_OR_RETURN(others.model, TrainOn(others.layers, others.searches));
  return others;
}

absl::StatusOr<Search> RunKnowing(const Others& others,
                                  const std::shared_ptr<SimulatedLayer>& layer,
                                  const SearchOptions& options) {
  ManualClock clock;
  db::MemoryStore store(clock);
  TESSERA_RETURN_IF_ERROR(Remember(others.layers, others.searches, others.model, store));
  return Run(layer, options, &store);
}

}  // namespace

absl::StatusOr<Rows> MeasureTrials(const std::vector<TunedLayer>& tuned, int trials, int seeds) {
  enum { kRandom, kLearned, kTransferred, kMethods };
  const char* const names[kMethods] = {"random", "learned", "transferred"};
  struct Runs {
    std::vector<Search> of[kMethods];
  };
  std::vector<Runs> runs(tuned.size());
  TESSERA_RETURN_IF_ERROR(ForEach(tuned.size(), [&](size_t i) -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const Others others, OthersOf(tuned, i));
    for (int seed = 1; seed <= seeds; ++seed) {
      SearchOptions options;
      options.trials = trials;
      options.seed = static_cast<uint64_t>(seed);
      TESSERA_ASSIGN_OR_RETURN(runs[i].of[kLearned].emplace_back(), Run(tuned[i].layer, options));
      TESSERA_ASSIGN_OR_RETURN(runs[i].of[kTransferred].emplace_back(),
                               RunKnowing(others, tuned[i].layer, options));
      options.explorer = "random";
      TESSERA_ASSIGN_OR_RETURN(runs[i].of[kRandom].emplace_back(), Run(tuned[i].layer, options));
    }
    return absl::OkStatus();
  }));
  Rows rows = Rows::array();
  std::vector<double> all[kMethods];
  for (size_t i = 0; i < tuned.size(); ++i) {
    const int64_t best = tuned[i].layer->Fastest(1)[0].first;
    const auto limit = static_cast<int64_t>(kNear * static_cast<double>(best));
    Rows row = {{"layer", tuned[i].layer->layer().name}, {"best_cycles", best}};
    for (int method = 0; method < kMethods; ++method) {
      std::vector<double> to;
      for (const Search& search : runs[i].of[method]) to.push_back(search.TrialsTo(limit));
      all[method].insert(all[method].end(), to.begin(), to.end());
      row[names[method]] = Median(to);
    }
    rows.push_back(std::move(row));
  }
  Rows row = {{"layer", "all"}, {"best_cycles", 0}};
  for (int method = 0; method < kMethods; ++method) row[names[method]] = Median(all[method]);
  rows.push_back(std::move(row));
  return rows;
}

}  // namespace tessera::bench
