#include <algorithm>
#include <numeric>

#include "base/status.h"
#include "compiler/graph/passes.h"

namespace tessera::graph {
namespace {

// A constant of which every element is this.
bool IsAll(const Node& node, double value) {
  if (!node.is_constant()) return false;
  const int64_t count = node.type.ElementCount();
  if (count > 4096) return false;  // nobody writes such constants out
  for (int64_t i = 0; i < count; ++i) {
    if (node.constant->At(i) != value) return false;
  }
  return true;
}

bool IsIdentity(const std::vector<int64_t>& order) {
  std::vector<int64_t> all(order.size());
  std::iota(all.begin(), all.end(), 0);
  return order == all;
}

absl::StatusOr<int> Simpler(GraphBuilder& builder, const Node& node, absl::Span<const int> operands,
                            int /*index*/) {
  const auto type_of = [&](size_t i) -> const TensorType& { return builder.type(operands[i]); };
  const auto operand = [&](size_t i) -> const Node& { return builder.node(operands[i]); };
  // Only where nothing is broadcast or converted by it.
  const auto keeps = [&](size_t i) {
    return type_of(i).shape == node.type.shape && type_of(i).element == node.type.element;
  };
  if (node.op == "add" || node.op == "mul") {
    const double neutral = node.op == "add" ? 0 : 1;
    for (const size_t i : {0, 1}) {
      if (keeps(i) && IsAll(operand(1 - i), neutral)) return operands[i];
    }
  } else if (node.op == "sub" || node.op == "div" || node.op == "pow") {
    if (keeps(0) && IsAll(operand(1), node.op == "sub" ? 0 : 1)) return operands[0];
  } else if (node.op == "cast" || node.op == "reshape" || node.op == "broadcast_to" ||
             node.op == "slice" || node.op == "pad") {
    const bool is_turned =
        node.op == "slice" &&
        std::ranges::any_of(std::get<std::vector<int64_t>>(node.attributes.at("steps")),
                            [](int64_t step) { return step < 0; });
    if (keeps(0) && !is_turned) return operands[0];
    if (node.op == "reshape" && operand(0).op == "reshape") {
      return builder.Add("reshape", {operand(0).operands[0]}, node.attributes, node.name);
    }
  } else if (node.op == "transpose") {
    const auto& order = std::get<std::vector<int64_t>>(node.attributes.at("order"));
    if (IsIdentity(order)) return operands[0];
    if (operand(0).op == "transpose") {
      const auto& inner = std::get<std::vector<int64_t>>(operand(0).attributes.at("order"));
      std::vector<int64_t> both;
      for (const int64_t d : order) both.push_back(inner[d]);
      if (IsIdentity(both)) return operand(0).operands[0];
      return builder.Add("transpose", {operand(0).operands[0]}, {{"order", both}}, node.name);
    }
  } else if (node.op == "concat" && operands.size() == 1) {
    return operands[0];
  } else if (node.op == "relu" && operand(0).op == "relu") {
    return operands[0];
  }
  return -1;
}

}  // namespace

absl::StatusOr<Graph> Simplify(const Graph& graph) { return Rewritten(graph, Simpler); }

}  // namespace tessera::graph
