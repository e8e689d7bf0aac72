#include <algorithm>
#include <vector>

#include "base/status.h"
#include "compiler/graph/define.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/operators.h"
#include "compiler/graph/passes.h"
#include "compiler/te/saturating.h"

namespace tessera::graph {
namespace {

// Results of more bytes are not worth it where their operands are smaller, but for weights.
constexpr int64_t kLarge = 1 << 16;
// Points of all stages: seconds of the interpreter.
constexpr int64_t kMostPoints = int64_t{1} << 27;

// What evaluating takes, saturating.
int64_t PointsOf(const te::Dag& dag) {
  int64_t points = 0;
  for (const te::Stage& stage : dag.stages) {
    std::vector<int64_t> extents;
    for (const auto* axes : {&stage.axes, &stage.reduce_axes}) {
      for (const te::Axis& axis : *axes) extents.push_back(axis.extent);
    }
    points = te::SaturatingAdd(points, te::SaturatingProduct(extents));
  }
  return points;
}

// What only constants feed and only products read, as their weights: kept smaller, as quantised
// weights are, it would be computed at every run, into memory that the product reads all the same.
std::vector<bool> FindWeights(const Graph& graph) {
  std::vector<bool> is_known, is_weight(graph.nodes.size(), false);
  for (const Node& node : graph.nodes) {
    is_known.push_back(!node.is_input() &&
                       std::ranges::all_of(node.operands, [&](int o) { return is_known[o]; }));
  }
  const std::vector<std::vector<int>> users = graph.Users();
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const auto node = static_cast<int>(i);
    const auto takes_as_weight = [&](int user) {
      const Node& by = graph.nodes[user];
      // A small result becomes a constant itself, and nobody reads this one any more.
      if (is_known[user]) return is_weight[user] || by.type.Bytes() <= kLarge;
      const std::vector<int>& weights = FindOperator(by.op)->weights;
      for (size_t o = 0; o < by.operands.size(); ++o) {
        if (by.operands[o] == node && std::ranges::count(weights, static_cast<int>(o)) == 0) {
          return false;
        }
      }
      return true;
    };
    is_weight[i] = is_known[i] && !users[i].empty() && !graph.IsOutput(node) &&
                   std::ranges::all_of(users[i], takes_as_weight);
  }
  return is_weight;
}

absl::StatusOr<int> Folded(GraphBuilder& builder, const Node& node, absl::Span<const int> operands,
                           bool is_weight) {
  // Operands may be constants by now that were none before.
  GraphBuilder alone("folded");
  std::vector<int> constants;
  int64_t bytes = 0;
  for (const int operand : operands) {
    if (!builder.node(operand).is_constant()) return -1;
    const TensorRef& value = builder.node(operand).constant;
    bytes += value->type.Bytes();
    TESSERA_ASSIGN_OR_RETURN(constants.emplace_back(), alone.Constant("c", value));
  }
  if (!is_weight && node.type.Bytes() > std::max(bytes, kLarge)) return -1;
  TESSERA_ASSIGN_OR_RETURN(const int copy, alone.Copy(node, constants));
  const Graph made = std::move(alone).Finish({copy});
  const absl::StatusOr<Definition> definition = Define(made, {made.outputs[0]}, "folded");
  if (!definition.ok() || PointsOf(definition->workload.dag) > kMostPoints) return -1;
  // What has no value, as a division by zero, is left to run time.
  const absl::StatusOr<std::vector<TensorRef>> results = Evaluate(made, {});
  if (!results.ok()) return -1;
  return builder.Constant(node.name, (*results)[0]);
}

}  // namespace

absl::StatusOr<Graph> FoldConstants(const Graph& graph) {
  const std::vector<bool> is_weight = FindWeights(graph);
  return Rewritten(graph, [&](GraphBuilder& builder, const Node& node,
                              absl::Span<const int> operands, int index) {
    return Folded(builder, node, operands, is_weight[static_cast<size_t>(index)]);
  });
}

}  // namespace tessera::graph
