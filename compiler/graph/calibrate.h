#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/graph.h"

// What numbers a graph's values take on samples of its inputs, which quantisation goes by.

namespace tessera::graph {

// One tensor an input, in order.
using Sample = std::vector<TensorRef>;

enum class RangeMethod : uint8_t {
  kLargest,     // the largest magnitude seen
  kPercentile,  // that so many of the numbers that are not 0 are below
  kEntropy,     // the limit that keeps most of their distribution, after 8 bits of it are left
};

struct CalibrationOptions {
  RangeMethod method = RangeMethod::kPercentile;
  double percentile = 99.99;  // above 0, at most 100
  // Of which ranges are asked for (NodesToWatch in quantize.h); without, of all.
  std::optional<std::vector<int>> nodes = {};
};

// By node the magnitude up to which its numbers are to be told apart: 0 where all are 0, or it is
// no node of f32, or a constant, or none that is asked for. Larger numbers of the samples were
// rare, and are to become that. The executor gets one graph, whose outputs are these nodes.
// InvalidArgument where there are no samples, for numbers that are not finite, which name the node,
// and for samples of other types than the inputs.
absl::StatusOr<std::vector<double>> Calibrate(const Graph& graph, absl::Span<const Sample> samples,
                                              const CalibrationOptions& options = {},
                                              const Executor& executor = Interpreted);

}  // namespace tessera::graph
