#include "codesign/network.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/status.h"
#include "codesign/simulate.h"
#include "compiler/schedule/accelerator.h"
#include "costmodel/draft.h"
#include "costmodel/features.h"
#include "tuner/config_search_space.h"

namespace tessera::codesign {

absl::StatusOr<Network> MakeNetwork(std::string name, absl::Span<const te::OpSpec> operators,
                                    absl::Span<const double> counts) {
  TESSERA_CHECK(operators.size() == counts.size());
  Network network = {std::move(name), {}};
  for (size_t i = 0; i < operators.size(); ++i) {
    te::OpSpec spec = operators[i];
    if (const auto layout = spec.attributes.find("layout");
        layout != spec.attributes.end() && absl::StartsWith(layout->second, "nchwc")) {
      layout->second = "any";
    }
    TESSERA_ASSIGN_OR_RETURN(te::Workload workload, te::MakeWorkload(spec));
    if (absl::Status fits = CheckTensors(workload.dag); !fits.ok()) {
      return Annotate(fits, workload.name);
    }
    network.layers.push_back({std::move(workload), counts[i]});
  }
  return network;
}

absl::Status CheckServes(const Network& network, const vta::Config& config) {
  const ir::Target target = TargetOf({.config = config});
  for (const Layer& layer : network.layers) {
    const absl::Status drafted = schedule::DraftForAccelerator(layer.workload.dag, target).status();
    if (!drafted.ok()) return Annotate(drafted, layer.workload.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerSpace> MakeLayerSpace(const Layer& layer, const ir::Target& target) {
  constexpr int kThreads = 1;
  auto built = space::BuildSpace(layer.workload, target, kThreads);
  if (!built.ok()) return Annotate(built.status(), layer.workload.name);
  auto configs = std::make_shared<const space::ConfigSpace>(*std::move(built));
  // The default schedule, which no variant is judged by, is left out: it takes as long to simulate
  // as ten others.
  auto search = std::make_shared<const tuner::ConfigSearchSpace>(
      configs, tuner::FeatureSource{costmodel::FeatureCount(target.kind),
                                    [configs](absl::Span<const space::Config> of) {
                                      return costmodel::ConfigFeatures(*configs, kThreads, of);
                                    },
                                    costmodel::DraftSeconds});
  return LayerSpace{std::move(configs), std::move(search)};
}

absl::StatusOr<Activity> SimulateConfig(const space::ConfigSpace& space,
                                        const space::Config& config, const vta::Timing& timing) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule, space.ToSchedule(config));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<SimulatedKernel> kernels,
                           Simulate(schedule, space.target(), timing));
  Activity activity;
  for (const SimulatedKernel& kernel : kernels) {
    Activity of = ActivityOf(kernel.instructions);
    of.cycles = static_cast<double>(kernel.report.cycles);
    of.dram_bytes =
        static_cast<double>(kernel.report.dram_bytes_read + kernel.report.dram_bytes_written);
    activity.Add(of);
  }
  return activity;
}

}  // namespace tessera::codesign
