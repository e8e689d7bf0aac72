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
#include "compiler/ir/target.h"

// Models in i8 on the command line.

namespace tessera::cli {

// A graph of floats with what is to become of it in 8 bits.
struct CalibratedModel {
  graph::Graph graph;
  std::vector<double> largest;  // by node (graph::Calibrate)
  graph::QuantizeOptions options;
  std::vector<SampleRun> samples;  // that it was calibrated on, with what the floats make of them
};

// By the ranges of values on the source's samples, which the executor runs: one graph, whose
// outputs are these values, the graph's own and what MeasureModel compares. Says on standard error
// how far it is.
absl::StatusOr<CalibratedModel> CalibrateModel(const graph::Graph& graph,
                                               const QuantizationSource& source,
                                               const graph::Executor& executor);

// Whether values that are never negative are u8: on x86, and without a target. Others' instructions
// take i8 alone.
bool TakesUnsignedBytes(const ir::Target* target);
// In the bytes that a target's instructions take.
absl::StatusOr<graph::Quantized> QuantizeFor(const CalibratedModel& model,
                                             const ir::Target* target);

// How far what was made of it is off on its samples, which the executor runs on both graphs.
absl::StatusOr<graph::Accuracy> MeasureModel(const CalibratedModel& model,
                                             const graph::Quantized& quantized,
                                             const graph::Executor& executor = graph::Interpreted);

// For people: outputs and products with their errors, the products that stay floats. And for
// programs: "samples", "outputs" and "products", each a list of objects with name, snr_db (null:
// no error), largest_error, largest and same_largest (graph/accuracy.h), and "floats", names.
std::string AccuracyText(const graph::Accuracy& accuracy, absl::Span<const std::string> floats);
std::string AccuracyJson(const graph::Accuracy& accuracy, absl::Span<const std::string> floats);

}  // namespace tessera::cli
