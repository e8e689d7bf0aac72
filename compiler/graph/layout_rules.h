#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compiler/graph/graph.h"

// What the choice of layouts (layouts.h) asks of a graph's nodes.

namespace tessera::graph {

inline constexpr size_t kChannel = 1;  // which dimension channels are

bool IsConvolution(const Node& node);
bool IsWindow(const Node& node);

// Whether the channels of a block are computed of those of a block, or of all: vectors then run
// along channels whatever the node reads.
bool KeepsBlocks(const Graph& graph, const Node& node, int64_t block);

// Terms of the sums of a convolution, or elements that a window is the maximum or mean of.
double SummedTerms(const Graph& graph, const Node& node);

// By node: whether it lies in another one (views.h), so that nobody computes it.
std::vector<bool> Placed(const Graph& graph);

}  // namespace tessera::graph
