#include <algorithm>

#include "base/status.h"
#include "compiler/graph/define.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/passes.h"
#include "compiler/te/saturating.h"

namespace tessera::graph {
namespace {

// Results of more bytes are not worth it where their operands are smaller.
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

absl::StatusOr<int> Folded(GraphBuilder& builder, const Node& node, absl::Span<const int> operands,
                           int /*index*/) {
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
  if (node.type.Bytes() > std::max(bytes, kLarge)) return -1;
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

absl::StatusOr<Graph> FoldConstants(const Graph& graph) { return Rewritten(graph, Folded); }

}  // namespace tessera::graph
