#include "compiler/graph/layout_rules.h"

#include <algorithm>
#include <string_view>

#include "compiler/graph/operators.h"
#include "compiler/graph/views.h"
#include "compiler/te/saturating.h"

namespace tessera::graph {
namespace {

const std::vector<int64_t>& Ints(const Node& node, std::string_view name) {
  return std::get<std::vector<int64_t>>(node.attributes.find(name)->second);
}
int64_t Int(const Node& node, std::string_view name) {
  return std::get<int64_t>(node.attributes.find(name)->second);
}

}  // namespace

bool IsConvolution(const Node& node) {
  return node.op == "conv_transpose" || (node.op == "conv" && Int(node, "grouped") == 0);
}
bool IsWindow(const Node& node) {
  return node.op == "depthwise_conv" || node.op == "max_pool" || node.op == "avg_pool";
}

bool KeepsBlocks(const Graph& graph, const Node& node, int64_t block) {
  if (IsConvolution(node) || IsWindow(node)) return true;
  const size_t rank = node.type.shape.size();
  const auto same_rank = [&](int operand) {
    return graph.nodes[operand].type.shape.size() == rank;
  };
  if (FindOperator(node.op)->pattern == Pattern::kElementwise) return true;
  if (node.op.starts_with("reduce_")) {
    const auto from = static_cast<int64_t>(graph.operand(node, 0).type.shape.size());
    const std::vector<int64_t>& axes = Ints(node, "axes");
    return !axes.empty() && std::ranges::all_of(axes, [&](int64_t axis) {
      return (axis < 0 ? axis + from : axis) > static_cast<int64_t>(kChannel);
    });
  }
  if (!std::ranges::all_of(node.operands, same_rank)) {
    return node.op == "gather" && Int(node, "axis") > static_cast<int64_t>(kChannel) &&
           same_rank(node.operands[0]);
  }
  if (node.op == "concat") {
    const int64_t axis = Int(node, "axis");
    return (axis < 0 ? axis + static_cast<int64_t>(rank) : axis) != kChannel ||
           std::ranges::all_of(node.operands, [&](int operand) {
             return graph.nodes[operand].type.shape[kChannel] % block == 0;
           });
  }
  if (node.op == "slice") {
    return Ints(node, "steps")[kChannel] == 1 && Ints(node, "starts")[kChannel] % block == 0;
  }
  if (node.op == "pad") {
    return Ints(node, "before")[kChannel] == 0 && Ints(node, "behind")[kChannel] == 0;
  }
  return node.op == "broadcast_to";
}

std::vector<bool> Placed(const Graph& graph) {
  std::vector<bool> placed(graph.nodes.size(), false);
  const std::vector<View> views = FindViews(graph), parts = FindParts(graph);
  for (size_t i = 0; i < views.size(); ++i) {
    if (views[i].of >= 0) placed[i] = true;
    if (parts[i].of >= 0) placed[parts[i].of] = true;
  }
  return placed;
}

double SummedTerms(const Graph& graph, const Node& node) {
  const auto elements = static_cast<double>(node.type.ElementCount());
  if (node.op == "max_pool" || node.op == "avg_pool") {
    return elements * static_cast<double>(te::SaturatingProduct(Ints(node, "kernel")));
  }
  const auto weights = static_cast<double>(graph.operand(node, 1).type.ElementCount());
  if (node.op == "conv_transpose") {
    const TensorType& x = graph.operand(node, 0).type;
    return static_cast<double>(x.ElementCount() / x.shape[kChannel]) * weights;
  }
  return elements / static_cast<double>(node.type.shape[kChannel]) * weights;
}

}  // namespace tessera::graph
