#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"
#include "compiler/te/dag.h"

namespace tessera::graph {

// What some nodes compute together.
struct Definition {
  te::Workload workload;
  std::vector<int> inputs;  // nodes that the workload's inputs are, in their order
  int output = -1;          // the last of the nodes
};

// Requires nodes, ascending, of which no other than the last is used by others or an output of the
// graph. Constants of one element become numbers of the definitions; others its constants, those
// of weights (Operator::weights) stored freely. What is read and the result are stored as their
// types say. Errors of te::Verify.
absl::StatusOr<Definition> Define(const Graph& graph, absl::Span<const int> nodes,
                                  std::string_view name);

}  // namespace tessera::graph
