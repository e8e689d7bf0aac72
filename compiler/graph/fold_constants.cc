#include <algorithm>

#include "base/status.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/passes.h"

namespace tessera::graph {
namespace {

// Results of more bytes are not worth it where their operands are smaller.
constexpr int64_t kLarge = 1 << 16;

}  // namespace

absl::StatusOr<Graph> FoldConstants(const Graph& graph) {
  return Rewritten(
      graph,
      [&](GraphBuilder& builder, const Node& node, absl::Span<const int> operands,
          int index) -> absl::StatusOr<int> {
        std::vector<TensorRef> values;
        int64_t bytes = 0;
        for (const int operand : operands) {
          if (!builder.node(operand).is_constant()) return -1;
          values.push_back(builder.node(operand).constant);
          bytes += values.back()->type.Bytes();
        }
        if (node.type.Bytes() > std::max(bytes, kLarge)) return -1;
        // Operands may be constants by now that were none in `graph`.
        GraphBuilder alone(graph.name);
        std::vector<int> constants;
        for (const TensorRef& value : values) {
          TESSERA_ASSIGN_OR_RETURN(constants.emplace_back(), alone.Constant("c", value));
        }
        TESSERA_ASSIGN_OR_RETURN(const int copy, alone.Copy(node, constants));
        const Graph made = std::move(alone).Finish({copy});
        TESSERA_ASSIGN_OR_RETURN(const std::vector<TensorRef> results, Evaluate(made, {}));
        (void)index;
        return builder.Constant(node.name, results[0]);
      });
}

}  // namespace tessera::graph
