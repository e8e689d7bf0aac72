#pragma once

#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/graph/graph.h"

// Graphs to better graphs that compute the same. Each takes a verified graph and returns one; nodes
// that nothing needs any more are gone.

namespace tessera::graph {

using Pass = absl::StatusOr<Graph> (*)(const Graph& graph);

// Operators of constants alone become constants, unless these were larger than what they are
// computed from, and large; weights of products do whatever their size.
absl::StatusOr<Graph> FoldConstants(const Graph& graph);
// Nodes that compute the same of the same become one.
absl::StatusOr<Graph> MergeCommon(const Graph& graph);
// x + 0, x · 1, casts and reshapes and transposes that change nothing or follow each other, …
absl::StatusOr<Graph> Simplify(const Graph& graph);
// Products of each channel by a constant, and sums, go into the weights and bias of the
// convolution or product before: batch normalisation is gone with it.
absl::StatusOr<Graph> FoldScales(const Graph& graph);

struct NamedPass {
  std::string_view name;
  Pass run;
};
// Those that every model goes through, in this order.
absl::Span<const NamedPass> StandardPasses();
// After each, the graph is verified; `seen` is told of it, where there is one. Errors name the
// pass.
absl::StatusOr<Graph> RunPasses(
    Graph graph, absl::Span<const NamedPass> passes,
    const std::function<void(std::string_view name, const Graph& graph)>& seen = nullptr);

// A graph made node by node of another: `rewrite` adds what becomes of one to the builder, with its
// operands already there, and returns it; -1: a copy.
using Rewrite = std::function<absl::StatusOr<int>(GraphBuilder& builder, const Node& node,
                                                  absl::Span<const int> operands, int index)>;
absl::StatusOr<Graph> Rewritten(const Graph& graph, const Rewrite& rewrite);

}  // namespace tessera::graph
