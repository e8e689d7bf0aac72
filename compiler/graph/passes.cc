#include "compiler/graph/passes.h"

#include <array>
#include <utility>

#include "base/status.h"

namespace tessera::graph {

absl::StatusOr<Graph> Rewritten(const Graph& graph, const Rewrite& rewrite) {
  GraphBuilder builder(graph.name);
  std::vector<int> became;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<int> operands;
    for (const int operand : node.operands) operands.push_back(became[operand]);
    int made = -1;
    if (!node.is_input() && !node.is_constant()) {
      TESSERA_ASSIGN_OR_RETURN(made, rewrite(builder, node, operands, static_cast<int>(i)));
    }
    if (made < 0) {
      TESSERA_ASSIGN_OR_RETURN(made, builder.Copy(node, std::move(operands)));
    }
    became.push_back(made);
  }
  std::vector<int> outputs;
  for (const int output : graph.outputs) outputs.push_back(became[output]);
  return std::move(builder).Finish(std::move(outputs));
}

absl::Span<const NamedPass> StandardPasses() {
  static constexpr std::array kPasses{
      NamedPass{"fold_constants", FoldConstants}, NamedPass{"simplify", Simplify},
      NamedPass{"fold_scales", FoldScales},       NamedPass{"fold_constants", FoldConstants},
      NamedPass{"merge_common", MergeCommon},
  };
  return kPasses;
}

absl::StatusOr<Graph> RunPasses(
    Graph graph, absl::Span<const NamedPass> passes,
    const std::function<void(std::string_view name, const Graph& graph)>& seen) {
  for (const NamedPass& pass : passes) {
    absl::StatusOr<Graph> next = pass.run(graph);
    TESSERA_RETURN_IF_ERROR(Annotate(next.status(), pass.name));
    graph = *std::move(next);
    TESSERA_RETURN_IF_ERROR(Annotate(Verify(graph), pass.name));
    if (seen) seen(pass.name, graph);
  }
  return graph;
}

}  // namespace tessera::graph
