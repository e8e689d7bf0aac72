#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/calibrate.h"
#include "compiler/graph/quantize.h"

namespace tessera::graph {

// How far values of a quantised graph are from the float graph's, over all samples.
struct ValueError {
  std::string name;   // in the float graph
  double snr_db = 0;  // 10 · log10(Σ value² / Σ error²); infinite where there is no error
  double largest_error = 0;
  double largest = 0;  // magnitude of the value
  // Of rows along the last dimension the part whose largest element is at the same place; of
  // values whose last dimension has one element 1.
  double same_largest = 1;
};

struct Accuracy {
  int samples = 0;
  std::vector<ValueError> outputs;
  std::vector<ValueError> products;  // as Quantized::products
};

// Runs both graphs on every sample. InvalidArgument where there is none.
absl::StatusOr<Accuracy> MeasureAccuracy(const Graph& graph, const Quantized& quantized,
                                         absl::Span<const Sample> samples,
                                         const Executor& executor = Interpreted);

}  // namespace tessera::graph
