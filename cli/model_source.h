#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "compiler/graph/plan.h"

namespace tessera::cli {

// Whether a file is a model by its name: it ends with .onnx.
bool IsModelFile(const std::string& path);

// The graph of a model's file after graph::StandardPasses, of floats and forward. Errors of this
// and the following name the file.
absl::StatusOr<graph::Graph> ReadForward(const OperatorSource& source);

// The kernels of a model's file after graph::StandardPasses, its unknown extents as the source
// says; of its gradients (graph/adjoint.h) where the source asks for these, in i8 where it gives
// samples (quantized_model.h).
absl::StatusOr<graph::Plan> ReadModel(const OperatorSource& source);

// Its tasks as operators, weighted by how often the model runs each.
absl::StatusOr<JobFile> ModelJob(const OperatorSource& source);

}  // namespace tessera::cli
