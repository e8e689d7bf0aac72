#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/job_file.h"
#include "compiler/graph/plan.h"

namespace tessera::cli {

// Whether a file is a model by its name: it ends with .onnx.
bool IsModelFile(const std::string& path);

// A model's file after graph::StandardPasses, its unknown extents as the source says, and what runs
// it.
struct Model {
  graph::Graph graph;
  graph::Plan plan;
};
// Errors name the file.
absl::StatusOr<Model> ReadModel(const OperatorSource& source);

// Its tasks as operators, weighted by how often the model runs each. InvalidArgument where there
// are none.
absl::StatusOr<JobFile> JobOf(const Model& model);

}  // namespace tessera::cli
