#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codesign/activity.h"
#include "codesign/variant.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tuner/search_space.h"

namespace tessera::codesign {

// An operator of a network, and how often the network has it.
struct Layer {
  te::Workload workload;
  double count = 1;
};

// What variants are tuned for. Activations lie in blocks as each variant has them.
struct Network {
  std::string name;
  std::vector<Layer> layers;
};
// `counts`: one an operator. A layout in blocks ("nchwc16") becomes "any", so that each variant has
// its own. Errors are of te::MakeWorkload; InvalidArgument where an operator's tensors are more
// than the 4 GiB of DRAM that a VTA's addresses reach.
absl::StatusOr<Network> MakeNetwork(std::string name, absl::Span<const te::OpSpec> operators,
                                    absl::Span<const double> counts);

// Why the network can't run on a configuration's tiles, whatever its memories, with the layer's
// name; OK: it can.
absl::Status CheckServes(const Network& network, const vta::Config& config);

// A layer's programs on a target.
struct LayerSpace {
  std::shared_ptr<const space::ConfigSpace> configs;
  std::shared_ptr<const tuner::SearchSpace> search;
};
// Errors are of space::BuildSpace, with the layer's name.
absl::StatusOr<LayerSpace> MakeLayerSpace(const Layer& layer, const ir::Target& target);

// What the program of a config did, on the simulator. Deterministic; thread-safe. Errors are of
// Simulate (simulate.h).
absl::StatusOr<Activity> SimulateConfig(const space::ConfigSpace& space,
                                        const space::Config& config, const vta::Timing& timing);

}  // namespace tessera::codesign
