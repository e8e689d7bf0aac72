#pragma once

#include <functional>
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

// Runs a graph on inputs and returns its outputs, in order.
using Runner =
    std::function<absl::StatusOr<std::vector<TensorRef>>(absl::Span<const TensorRef> inputs)>;
// Makes what runs a graph, again and again.
using Executor = std::function<absl::StatusOr<Runner>(Graph graph)>;

// That of Evaluate.
absl::StatusOr<Runner> Interpreted(Graph graph);

// The value of one node of these operands.
absl::StatusOr<TensorRef> EvaluateNode(const Graph& graph, int node,
                                       absl::Span<const TensorRef> operands);

}  // namespace tessera::graph
