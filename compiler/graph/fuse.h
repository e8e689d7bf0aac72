#pragma once

#include <vector>

#include "compiler/graph/graph.h"

namespace tessera::graph {

// Nodes that become one kernel, ascending; others read the last of them only.
using Group = std::vector<int>;

// Which of the graph's operators are computed together, by patterns over post-dominators: what
// follows an anchor or a reduction element by element goes with it, chains of elementwise and
// injective operators with each other and with the reduction behind. Never two anchors or
// reductions, nor more tensors than kMaxKernelTensors; what only names bytes of others, slices that
// are views and concatenations of parts (views.h), stays alone. Every operator's node is in one
// group; groups are in an order in which they can run.
std::vector<Group> Fuse(const Graph& graph);

// The nearest node through which all ways from a node to the outputs lead; -1: there is none, or
// it is an output itself.
std::vector<int> PostDominators(const Graph& graph);

}  // namespace tessera::graph
