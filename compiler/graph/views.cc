#include "compiler/graph/views.h"

#include <optional>

#include "compiler/graph/operators.h"

namespace tessera::graph {
namespace {

bool IsRowMajor(const Graph& graph, const Node& node) {
  return node.type.layout.empty() && graph.operand(node, 0).type.layout.empty();
}

const std::vector<int64_t>& Ints(const Node& node, const char* name) {
  return std::get<std::vector<int64_t>>(node.attributes.at(name));
}

// Where a slice's elements begin in its operand, in bytes; nothing where they are not side by side
// or begin between two places.
std::optional<int64_t> OffsetOf(const Graph& graph, const Node& slice) {
  const std::vector<int64_t>& whole = graph.operand(slice, 0).type.shape;
  const std::vector<int64_t>&starts = Ints(slice, "starts"), &steps = Ints(slice, "steps");
  int64_t elements = 0, stride = 1;
  bool is_part = false;  // of the dimensions so far, from the last on
  for (size_t d = whole.size(); d-- > 0;) {
    const int64_t extent = slice.type.shape[d];
    if (extent > 1 && (is_part || steps[d] != 1)) return std::nullopt;
    is_part = is_part || extent < whole[d];
    elements += starts[d] * stride;
    stride *= whole[d];
  }
  const int64_t bits = elements * slice.type.element.bits;
  if (bits % (8 * kPlaceAlignment) != 0) return std::nullopt;
  return bits / 8;
}

bool IsComputedByElement(const Node& node) {
  if (node.is_input() || node.is_constant()) return false;
  const Pattern pattern = FindOperator(node.op)->pattern;
  return pattern == Pattern::kElementwise || pattern == Pattern::kInjective;
}

}  // namespace

std::vector<View> FindViews(const Graph& graph) {
  const auto is_reshape = [&](const Node& node) {
    return node.op == "reshape" && IsRowMajor(graph, node);
  };
  // What lies where callers say, whole.
  std::vector<bool> is_callers(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    is_callers[i] = graph.nodes[i].is_input() || graph.nodes[i].is_constant();
  }
  for (int node : graph.outputs) {
    is_callers[node] = true;
    while (is_reshape(graph.nodes[node])) {
      node = graph.nodes[node].operands[0];
      is_callers[node] = true;
    }
  }
  const std::vector<std::vector<int>> users = graph.Users();
  std::vector<View> views(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (is_reshape(node)) {
      const int of = node.operands[0];
      views[i] = {of, 0};
      // Parts of it are parts of what a caller placed.
      is_callers[i] = is_callers[i] || is_callers[of];
    } else if (node.op == "slice" && IsRowMajor(graph, node) && !is_callers[i]) {
      const int of = node.operands[0];
      if (is_callers[of] || (users[of].size() == 1 && IsComputedByElement(graph.nodes[of]))) {
        continue;
      }
      if (const std::optional<int64_t> offset = OffsetOf(graph, node)) views[i] = {of, *offset};
    }
  }
  return views;
}

}  // namespace tessera::graph
