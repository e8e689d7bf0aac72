#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"

namespace tessera::graph {

// The outputs of a graph whose inputs have these values, in order: by the definitions, in the
// interpreter (te::ReferenceProgram), which is slow and the oracle of everything else.
// InvalidArgument for inputs of other types.
absl::StatusOr<std::vector<TensorRef>> Evaluate(const Graph& graph,
                                                absl::Span<const TensorRef> inputs);

// The value of one node of these operands.
absl::StatusOr<TensorRef> EvaluateNode(const Graph& graph, int node,
                                       absl::Span<const TensorRef> operands);

}  // namespace tessera::graph
