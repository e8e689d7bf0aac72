#include "codesign/estimate.h"

#include <algorithm>
#include <utility>

#include "base/rng.h"
#include "base/status.h"
#include "compiler/schedule/loop_structure.h"
#include "costmodel/vta_cycles.h"

namespace tessera::codesign {
namespace {

constexpr int kSamples = 12;  // drawn, and then
constexpr int kSteps = 36;    // neighbours of the best so far

// The programs along the walk that were the best when they were met, and all that were drawn.
absl::StatusOr<std::vector<costmodel::VtaProfile>> Walk(const space::ConfigSpace& space,
                                                        const vta::Timing& timing, Rng rng) {
  costmodel::VtaProfiler profiler(space.target());
  std::vector<costmodel::VtaProfile> profiles;
  space::Config best;
  double least = 0;
  for (int i = 0; i < kSamples + kSteps; ++i) {
    space::Config config = i < kSamples ? space.Sample(rng) : space.Mutate(best, rng);
    TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space.ToSchedule(config));
    TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
    const costmodel::VtaProfile profile = profiler.Profile(schedule, loops);
    if (profile.kernels != 1) continue;  // of others the profile is of one kernel alone
    const double cycles = costmodel::WithTiming(profile, timing).cycles;
    const bool is_better = best.empty() || cycles < least;
    if (is_better || i < kSamples) profiles.push_back(profile);
    if (is_better) {
      best = std::move(config);
      least = cycles;
    }
    if (best.empty()) break;
  }
  return profiles;
}

}  // namespace

absl::StatusOr<EstimatedPrograms> EstimatedPrograms::Make(const Network& network,
                                                          const vta::Config& config, int64_t stages,
                                                          uint64_t seed) {
  const Variant variant = {.config = config, .stages = stages};
  const ir::Target target = TargetOf(variant);
  EstimatedPrograms programs;
  for (const Layer& layer : network.layers) {
    TESSERA_ASSIGN_OR_RETURN(const LayerSpace space, MakeLayerSpace(layer, target));
    TESSERA_ASSIGN_OR_RETURN(
        std::vector<costmodel::VtaProfile> profiles,
        Walk(*space.configs, TimingOf(variant), Rng(seed).Fork(layer.workload.name)));
    if (profiles.empty()) {
      return absl::ResourceExhaustedError(
          absl::StrCat(layer.workload.name, ": no programs of one kernel were found"));
    }
    programs.layers_.push_back(std::move(profiles));
    programs.counts_.push_back(layer.count);
  }
  return programs;
}

Activity EstimatedPrograms::Estimate(const Variant& variant) const {
  const vta::Timing timing = TimingOf(variant);
  Activity total;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const costmodel::VtaProfile* best = nullptr;
    double least = 0;
    for (const costmodel::VtaProfile& profile : layers_[i]) {
      const double cycles = costmodel::WithTiming(profile, timing).cycles;
      if (best != nullptr && cycles >= least) continue;
      best = &profile;
      least = cycles;
    }
    total.Add(EstimatedActivity(costmodel::WithTiming(*best, timing), variant.config), counts_[i]);
  }
  return total;
}

}  // namespace tessera::codesign
