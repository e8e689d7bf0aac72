#include "compiler/graph/views.h"

#include <algorithm>
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

bool IsReshape(const Graph& graph, const Node& node) {
  return node.op == "reshape" && IsRowMajor(graph, node);
}

// What lies where callers say, whole, and what may.
std::vector<bool> FindCallers(const Graph& graph) {
  std::vector<bool> is_callers(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    is_callers[i] = graph.nodes[i].is_input() || graph.nodes[i].is_constant();
  }
  for (int node : graph.outputs) {
    is_callers[node] = true;
    while (graph.nodes[node].op == "reshape") {
      node = graph.nodes[node].operands[0];
      is_callers[node] = true;
    }
  }
  return is_callers;
}

// Whether all dimensions before `axis` have one position.
bool LeadsAll(const TensorType& type, int axis) {
  return std::all_of(type.shape.begin(), type.shape.begin() + axis,
                     [](int64_t extent) { return extent == 1; });
}

// Of types that differ in their extent of `axis` alone: whether those of `part` that follow each
// other in memory do so in `whole`, and nothing lies between them.
bool LiesTogether(const TensorType& part, const TensorType& whole, int axis) {
  if (part.layout.empty() != whole.layout.empty()) return false;
  if (whole.layout.empty()) return LeadsAll(whole, axis);
  // The outermost stored dimension of more than one position has to be the axis's outermost.
  if (part.layout.size() != whole.layout.size()) return false;
  bool is_cut = false;
  for (size_t i = 0; i < whole.layout.size(); ++i) {
    const ir::LayoutDim &a = part.layout[i], &b = whole.layout[i];
    if (a.axis != b.axis || a.divisor != b.divisor) return false;
    if (!is_cut && b.extent == 1) continue;
    const bool cuts = !is_cut;
    is_cut = true;
    if (cuts ? b.axis != axis || part.shape[axis] != a.divisor * a.extent : a != b) return false;
  }
  return true;
}

bool IsComputedByElement(const Node& node) {
  if (node.is_input() || node.is_constant()) return false;
  const Pattern pattern = FindOperator(node.op)->pattern;
  return pattern == Pattern::kElementwise || pattern == Pattern::kInjective;
}

}  // namespace

std::vector<View> FindViews(const Graph& graph) {
  std::vector<bool> is_callers = FindCallers(graph);
  const std::vector<std::vector<int>> users = graph.Users();
  std::vector<View> views(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (IsReshape(graph, node)) {
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

std::vector<View> FindParts(const Graph& graph) {
  std::vector<bool> is_taken = FindCallers(graph);
  std::vector<View> parts(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != "concat" || is_taken[i]) continue;
    const auto rank = static_cast<int64_t>(node.type.shape.size());
    const int64_t given = std::get<int64_t>(node.attributes.at("axis"));
    const auto axis = static_cast<int>(given < 0 ? given + rank : given);
    std::vector<int> made;  // what is to be computed into it
    int64_t bytes = 0, stored = 0;
    bool lies_so = true;  // as layouts are
    for (const int operand : node.operands) {
      const TensorType& type = graph.nodes[operand].type;
      int root = operand;
      for (; graph.nodes[root].op == "reshape"; root = graph.nodes[root].operands[0]) {
        lies_so = lies_so && IsRowMajor(graph, graph.nodes[root]);
      }
      if (is_taken[root] || graph.nodes[root].op == "slice" || std::ranges::count(made, root) > 0 ||
          bytes % kPlaceAlignment != 0 || !LeadsAll(node.type, axis)) {
        break;
      }
      lies_so = lies_so && stored % kPlaceAlignment == 0 && LiesTogether(type, node.type, axis);
      made.push_back(root);
      bytes += type.Bytes();
      stored += type.StoredBytes();
    }
    if (made.size() < node.operands.size()) continue;
    for (const int root : made) is_taken[root] = true;
    if (!lies_so) continue;
    stored = 0;
    for (const int operand : node.operands) {
      parts[operand] = {static_cast<int>(i), stored};
      stored += graph.nodes[operand].type.StoredBytes();
    }
  }
  return parts;
}

}  // namespace tessera::graph
