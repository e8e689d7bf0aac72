#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "compiler/graph/buckets.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/layouts.h"
#include "compiler/ir/target.h"

namespace tessera::cli {

// Whether a file is a model by its name: it ends with .onnx.
bool IsModelFile(const std::string& path);

// The graph of a model's file after graph::StandardPasses, of floats and forward. InvalidArgument
// where the source has several. Errors of this and the following name the file.
absl::StatusOr<graph::Graph> ReadForward(const OperatorSource& source);

// The graph of what a source asks for: the model after graph::StandardPasses, its unknown extents
// as the source says; of its gradients (graph/adjoint.h) where the source asks for these, in i8
// where it gives samples (quantized_model.h).
absl::StatusOr<graph::Graph> ReadGraph(const OperatorSource& source);

// The kernels of graphs as operators: equal ones are one, with the sum of their weights.
absl::StatusOr<std::vector<JobOperator>> OperatorsOf(absl::Span<const graph::Bucket> buckets);

// Its tasks as operators, weighted by how often the model runs each; row-major, until their target
// is known. Where the source gives dimensions several extents, of a graph for each combination, at
// most graph::kMaxBuckets: equal tasks are one, with the sum of their weights.
absl::StatusOr<JobFile> ModelJob(const OperatorSource& source,
                                 const graph::Executor& executor = graph::Interpreted);

// InvalidArgument where that is no CPU's target: libraries of models are for these.
absl::Status CheckRunsModels(const std::string& target, const std::string& device_class);

// Of all graphs of a model together; as of graph::LayoutChoice.
struct ModelLayouts {
  int values = 0, blocked = 0, changed = 0;
  double seconds = 0, estimated_seconds = 0;
};
// Has the operators of a file that is a model be those of a target, or of the one that the file
// names (`layouts`), in layouts by estimate or, where seconds are known, by these.
absl::StatusOr<ModelLayouts> PlanFor(JobFile& file, const ir::Target& target,
                                     const graph::KnownSeconds& known = nullptr,
                                     graph::Unmeasured unmeasured = graph::Unmeasured::kTuned);

}  // namespace tessera::cli
