#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "codesign/measurement_log.h"
#include "codesign/network.h"
#include "codesign/pareto.h"
#include "codesign/variant_space.h"
#include "codesign/variant_tuner.h"

namespace tessera::codesign {

struct ExploreOptions {
  VariantAxes axes = DefaultAxes();
  int variants = 64;  // that are tuned, the default among them; at least 1
  int trials = 32;    // of each layer, of the variants that stay to the end; at least 1
  uint64_t seed = 0;
  int threads = 1;       // no result depends on it
  bool transfer = true;  // variants begin with what others taught
};

// What a variant was found to be.
struct Evaluated {
  TunedVariant tuned;
  Resources resources;
  Activity activity;  // of the network, by each layer's fastest program
  double seconds = 0;
  double joules = 0;             // estimated
  double estimated_seconds = 0;  // before anything was simulated
  int trials = 0;                // of each layer, at most
  int front = 0;                 // 0: nothing that was tuned is as good in all of CostsOf
};
// Seconds, joules, DSPs, block RAMs and LUTs.
Costs CostsOf(const Evaluated& evaluated);

struct Exploration {
  Device device;
  Screening screening;           // its variants are moved from
  int64_t candidates = 0;        // of these: that could be, and were not just slower
  int64_t configurations = 0;    // that were estimated
  int64_t no_memory = 0;         // candidates whose memories hold no program of some layer
  int64_t no_program = 0;        // tuned, but all that was tried of some layer failed; left out
  std::vector<Evaluated> tuned;  // the default first, the others by seconds; all of them ran
};

// The fastest that takes no more DSPs, block RAMs and LUTs than the first, the default: of the same
// clock, stages and bus as that, or of any. The default itself where nothing is faster.
const Evaluated& BestWithinDefault(const Exploration& exploration, bool at_its_clock);

// The one of the fewest block RAMs within the default's resources at its clock, stages and bus that
// takes at most 1 + `slack` times as long. The default itself where none takes fewer.
inline constexpr double kAsFast = 0.01;  // the slack of reports
const Evaluated& LeanestAtItsClock(const Exploration& exploration, double slack);

// How far it is, for people.
struct Progress {
  enum class Phase : uint8_t { kScreened, kEstimating, kTuning };
  Phase phase;
  int64_t done = 0, all = 0;             // configurations, variants of the round
  int round = 0, rounds = 0;             // of tuning
  const Screening* screening = nullptr;  // kScreened
  std::optional<double> best_seconds;    // so far
};

// Screens all variants; estimates those that can be; tunes the default and what is promising: the
// front of the estimates, and the fastest within the default's resources, at its clock and at any.
// In three rounds, of which each gives the better half more trials: the default always, then some
// of those at its clock, then those nearest to the front. A function of network, device and
// options, however many threads, and whatever `log` knows already. `report` is called by one thread
// at a time. InvalidArgument where the default can't be, or has no programs of the network, or all
// that were tried of a layer failed; Cancelled after `stop` was set; errors of the log.
absl::StatusOr<Exploration> Explore(const Network& network, const Device& device,
                                    const ExploreOptions& options, MeasurementLog& log,
                                    const std::atomic<bool>& stop,
                                    const std::function<void(const Progress&)>& report);

}  // namespace tessera::codesign
