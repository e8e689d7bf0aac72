#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "compiler/graph/plan.h"
#include "compiler/ir/target.h"

namespace tessera::cli {

// Whether a file is a model by its name: it ends with .onnx.
bool IsModelFile(const std::string& path);

// The kernels of a model's file after graph::StandardPasses, its unknown extents as the source
// says, stored as is best for a target (graph::PlanModel); null: row-major. Errors name the file.
absl::StatusOr<graph::Plan> ReadModel(const OperatorSource& source,
                                      const ir::Target* target = nullptr);

// Its tasks as operators, weighted by how often the model runs each; row-major, until their target
// is known.
absl::StatusOr<JobFile> ModelJob(const OperatorSource& source);

// Has the operators of a file that is a model be those of a target.
absl::Status PlanFor(JobFile& file, const ir::Target& target);

}  // namespace tessera::cli
