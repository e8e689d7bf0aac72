#include "compiler/graph/passes.h"

#include <array>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/status.h"

namespace tessera::graph {
namespace {

absl::Status CheckSameInterface(const Graph& before, const Graph& after) {
  const auto differs = [](const Graph& a, absl::Span<const int> of_a, const Graph& b,
                          absl::Span<const int> of_b) {
    if (of_a.size() != of_b.size()) return true;
    for (size_t i = 0; i < of_a.size(); ++i) {
      const Node &x = a.nodes[of_a[i]], &y = b.nodes[of_b[i]];
      if (x.name != y.name || x.type != y.type) return true;
    }
    return false;
  };
  if (differs(before, before.Inputs(), after, after.Inputs()) ||
      differs(before, before.outputs, after, after.outputs)) {
    return absl::InternalError("inputs or outputs have changed");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Graph> Rewritten(const Graph& graph, const Rewrite& rewrite) {
  GraphBuilder builder(graph.name);
  std::vector<int> became;
  absl::flat_hash_set<int> kept;  // that outputs are by now
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<int> operands;
    for (const int operand : node.operands) operands.push_back(became[operand]);
    const bool is_output = graph.IsOutput(static_cast<int>(i));
    int made = -1;
    if (!node.is_input() && !node.is_constant() && node.type.layout.empty()) {
      TESSERA_ASSIGN_OR_RETURN(made, rewrite(builder, node, operands, static_cast<int>(i)));
    }
    // Outputs keep their names and layouts; what has a name of its own to keep is copied.
    const bool is_taken = made >= 0 && is_output &&
                          (builder.node(made).is_input() || kept.contains(made) ||
                           !builder.type(made).layout.empty());
    if (made < 0 || is_taken) {
      TESSERA_ASSIGN_OR_RETURN(made, builder.Copy(node, std::move(operands)));
    } else if (is_output) {
      builder.Rename(made, node.name);
    }
    if (is_output) kept.insert(made);
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
    TESSERA_RETURN_IF_ERROR(Annotate(Verify(*next), pass.name));
    TESSERA_RETURN_IF_ERROR(Annotate(CheckSameInterface(graph, *next), pass.name));
    graph = *std::move(next);
    if (seen) seen(pass.name, graph);
  }
  return graph;
}

}  // namespace tessera::graph
