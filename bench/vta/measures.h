#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/vta/search.h"
#include "bench/vta/simulated.h"

// What bench_vta measures, each as rows of a table.

namespace tessera::bench {

using Rows = nlohmann::ordered_json;  // an array of objects with the same members

struct TunedLayer {
  std::shared_ptr<SimulatedLayer> layer;
  Search search;
};

// `visit` for 0 to count − 1 on all cores. The first error of the lowest number.
absl::Status ForEach(size_t count, const std::function<absl::Status(size_t)>& visit);

// A search of each layer.
absl::StatusOr<std::vector<TunedLayer>> Tune(const Epilogue& epilogue,
                                             const SearchOptions& options);

// Cycles and GOPS beside both roofs and the board's, and what the engines do meanwhile.
absl::StatusOr<Rows> MeasureLayers(const std::vector<TunedLayer>& tuned, const Epilogue& epilogue);

// Without latency hiding: one thread, one copy of each operand, tuned on its own; and the network,
// each layer as often as it occurs.
absl::StatusOr<Rows> MeasureHiding(const std::vector<TunedLayer>& tuned,
                                   const SearchOptions& options);

// What half and one and a half of each parameter of vta::Timing do to cycles, as ratios: of the
// tuned program, and of the fastest by these parameters among those that were fast by the defaults.
// Null where none of them runs by these.
absl::StatusOr<Rows> MeasureSensitivity(const std::vector<TunedLayer>& tuned);

// By the timing of the Chisel design, with the network's sum.
absl::StatusOr<Rows> MeasureChisel(const std::vector<TunedLayer>& tuned);

// Trials until a program is within 5 % of the best that any search found: random ones, learned
// ones, and learned ones that know the other layers' programs.
absl::StatusOr<Rows> MeasureTrials(const std::vector<TunedLayer>& tuned, int trials, int seeds);

}  // namespace tessera::bench
