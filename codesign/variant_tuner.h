#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codesign/activity.h"
#include "codesign/measurement_log.h"
#include "codesign/network.h"
#include "codesign/variant.h"
#include "tuner/cost_model_learner.h"
#include "tuner/prior.h"

namespace tessera::codesign {

// A program that was tried.
struct Tried {
  uint64_t loop_hash = 0;
  std::string config;
  double cycles = 0;  // infinity: it failed
};

struct TunedLayer {
  std::vector<Tried> tried;  // in the order of results
  std::vector<float> rows;   // their features, [tried × columns]
  Activity best;  // of the one of the fewest cycles; cycles are infinity before the first
  std::string best_config;
};

// A variant with what is known of its programs.
struct TunedVariant {
  Variant variant;
  std::vector<TunedLayer> layers;  // as the network has them

  // Whether a program of each layer ran.
  bool HasPrograms() const;
  // The network's, by the layers' fastest programs. Where a layer has none cycles and seconds are
  // infinity, and the other counts are of the other layers.
  Activity Total(const Network& network) const;
  double Seconds(const Network& network) const;
  // The same by what was known after the first `trials` of each layer.
  double SecondsAfter(const Network& network, size_t trials) const;
};

// What a variant's search begins with beside what it knows itself.
struct Transfer {
  tuner::SavedModel model;                              // of other variants; empty: none
  std::vector<std::vector<std::string>> first_configs;  // by layer, the most promising first
};
// From variants that were tuned before: a model of their programs, and each layer's fastest on
// those nearest to `variant` that are not itself. `model` is that of FitModel.
Transfer MakeTransfer(const Network& network, absl::Span<const TunedVariant> tuned,
                      const Variant& variant, const tuner::SavedModel& model);
// Trained on what was tried, each layer of each variant by itself, the latest 8,192 programs. Empty
// where nothing was tried. Errors are those of fitting.
absl::StatusOr<tuner::SavedModel> FitModel(absl::Span<const TunedVariant> tuned, uint64_t seed);

// Tries up to `trials` programs more of each layer by the search of the tuner, in this thread.
// A function of its arguments, whatever `log` knows already: that is only not simulated again.
// Cancelled once `stop` is set; ResourceExhausted where a layer has no programs in the variant's
// memories; errors of the log.
absl::StatusOr<TunedVariant> TuneVariant(const Network& network, TunedVariant known,
                                         const Transfer& transfer, int trials, uint64_t seed,
                                         MeasurementLog& log, const std::atomic<bool>& stop);

}  // namespace tessera::codesign
