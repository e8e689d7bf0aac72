#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/commands.h"
#include "cli/samples.h"
#include "compiler/graph/accuracy.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/quantize.h"

// Models in i8 on the command line.

namespace tessera::cli {

struct QuantizedModel {
  graph::Quantized quantized;
  std::vector<SampleRun> samples;  // that it was calibrated on, with what the floats make of them
};

// By the ranges of values on the source's samples, which the executor runs: one graph, whose
// outputs are these values and the graph's own.
absl::StatusOr<QuantizedModel> QuantizeModel(const graph::Graph& graph,
                                             const QuantizationSource& source,
                                             const graph::Executor& executor = graph::Interpreted);

// For people: outputs and products with their errors, the products that stay floats. And for
// programs: "samples", "outputs" and "products", each a list of objects with name, snr_db (null:
// no error), largest_error, largest and same_largest (graph/accuracy.h), and "floats", names.
std::string AccuracyText(const graph::Accuracy& accuracy, absl::Span<const std::string> floats);
std::string AccuracyJson(const graph::Accuracy& accuracy, absl::Span<const std::string> floats);

}  // namespace tessera::cli
