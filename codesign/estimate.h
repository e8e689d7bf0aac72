#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "codesign/activity.h"
#include "codesign/network.h"
#include "codesign/variant.h"
#include "costmodel/vta_profile.h"

namespace tessera::codesign {

// Programs of each layer of a network that a short walk by the cost model's draft liked, for a
// configuration and pipelines of up to `stages`: counts from which every variant with that
// configuration is estimated without simulating it.
class EstimatedPrograms {
 public:
  // A function of its arguments; thread-safe. Errors are those of MakeLayerSpace:
  // ResourceExhausted where a layer has no programs in these memories.
  static absl::StatusOr<EstimatedPrograms> Make(const Network& network, const vta::Config& config,
                                                int64_t stages, uint64_t seed);

  // What the network does on the variant by the best of them. Requires Make's configuration, and no
  // more stages.
  Activity Estimate(const Variant& variant) const;

 private:
  std::vector<double> counts_;
  std::vector<std::vector<costmodel::VtaProfile>> layers_;
};

}  // namespace tessera::codesign
