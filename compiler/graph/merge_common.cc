#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/graph/passes.h"
#include "compiler/graph/text.h"

namespace tessera::graph {

absl::StatusOr<Graph> MergeCommon(const Graph& graph) {
  // A node as text, but for its name and with its operands by number: equal texts compute the same.
  absl::flat_hash_map<std::string, int> made;
  GraphBuilder builder(graph.name);
  std::vector<int> became;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<int> operands;
    for (const int operand : node.operands) operands.push_back(became[operand]);
    std::string key;
    if (node.is_constant()) {
      key = absl::StrCat(ToString(node.type), DigestOf(*node.constant));
    } else if (!node.is_input() && !graph.IsOutput(static_cast<int>(i))) {  // these have names
      Node anonymous = node;
      anonymous.name = "x";
      anonymous.operands.clear();
      key =
          absl::StrCat(Print(Graph{"g", {std::move(anonymous)}, {}}), absl::StrJoin(operands, ","));
    }
    if (const auto found = made.find(key); !key.empty() && found != made.end()) {
      became.push_back(found->second);
      continue;
    }
    absl::StatusOr<int> copy = builder.Copy(node, std::move(operands));
    if (!copy.ok()) return copy.status();
    became.push_back(*copy);
    if (!key.empty()) made.emplace(std::move(key), *copy);
  }
  std::vector<int> outputs;
  for (const int output : graph.outputs) outputs.push_back(became[output]);
  return std::move(builder).Finish(std::move(outputs));
}

}  // namespace tessera::graph
