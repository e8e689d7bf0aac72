#include "compiler/graph/evaluate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/define.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/reference.h"

namespace tessera::graph {

absl::StatusOr<TensorRef> EvaluateNode(const Graph& graph, int node,
                                       absl::Span<const TensorRef> operands) {
  const Node& defined = graph.nodes[node];
  TESSERA_ASSIGN_OR_RETURN(const Definition definition, Define(graph, {node}, defined.op));
  std::vector<std::vector<std::byte>> copies;
  for (const int input : definition.inputs) {
    const auto position = std::ranges::find(defined.operands, input) - defined.operands.begin();
    copies.push_back(operands[static_cast<size_t>(position)]->bytes);
  }
  auto result = std::make_shared<Tensor>();
  result->type = {defined.type.element, defined.type.shape, {}};
  result->bytes.resize(static_cast<size_t>(result->type.Bytes()));
  std::vector<absl::Span<std::byte>> buffers;
  for (auto& copy : copies) buffers.push_back(absl::MakeSpan(copy));
  buffers.push_back(absl::MakeSpan(result->bytes));
  TESSERA_RETURN_IF_ERROR(
      Annotate(ir::Evaluate(te::ReferenceProgram(definition.workload), buffers), defined.name));
  return result;
}

absl::StatusOr<std::vector<TensorRef>> Evaluate(const Graph& graph,
                                                absl::Span<const TensorRef> inputs) {
  std::vector<TensorRef> values(graph.nodes.size());
  size_t next = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.is_input()) {
      if (next == inputs.size() || inputs[next]->type.shape != node.type.shape ||
          inputs[next]->type.element != node.type.element) {
        return absl::InvalidArgumentError(
            absl::StrCat("input ", node.name, " has to be ", ToString(node.type)));
      }
      values[i] = inputs[next++];
    } else if (node.is_constant()) {
      values[i] = node.constant;
    } else {
      std::vector<TensorRef> operands;
      for (const int operand : node.operands) operands.push_back(values[operand]);
      TESSERA_ASSIGN_OR_RETURN(values[i], EvaluateNode(graph, static_cast<int>(i), operands));
    }
  }
  std::vector<TensorRef> outputs;
  for (const int output : graph.outputs) outputs.push_back(values[output]);
  return outputs;
}

absl::StatusOr<Runner> Interpreted(Graph graph) {
  return [graph = std::move(graph)](absl::Span<const TensorRef> inputs) {
    return Evaluate(graph, inputs);
  };
}

}  // namespace tessera::graph
