#include "compiler/graph/define.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/families.h"
#include "compiler/graph/operators.h"
#include "compiler/ir/visitor.h"
#include "compiler/te/dag_builder.h"
#include "compiler/te/names.h"

namespace tessera::graph {
namespace {

te::Placement PlacementOf(const TensorType& type) {
  return {ir::LayoutPolicy::kFixed, -1, type.layout};
}

std::vector<const ir::BufferNode*> LoadedBy(const ir::Expr& body) {
  struct Loads : ir::Visitor {
    void VisitLoad(const ir::Load& load) override {
      found.push_back(load.buffer.get());
      ir::Visitor::VisitLoad(load);
    }
    std::vector<const ir::BufferNode*> found;
  } loads;
  loads.Visit(body);
  return loads.found;
}

class Definer {
 public:
  explicit Definer(const Graph& graph) : graph_(graph) {}

  void Add(int index, absl::Span<const int> group) {
    const Node& node = graph_.nodes[index];
    const Operator& op = *FindOperator(node.op);
    std::vector<Operand> operands;
    std::vector<TensorType> types;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const int operand = node.operands[i];
      const TensorType& type = graph_.nodes[operand].type;
      types.push_back(type);
      const bool is_inside = std::ranges::binary_search(group, operand);
      if (is_inside) {
        operands.emplace_back(made_.at(operand), type);
      } else {
        const bool is_weight = std::ranges::count(op.weights, static_cast<int>(i)) > 0;
        operands.push_back(Outside(operand, is_weight, op.pattern));
      }
    }
    made_[index] =
        op.define(builder_, {node.attributes, types}, operands, node.type, Unique(node.op));
  }

  absl::StatusOr<Definition> Finish(int output, std::string_view name) && {
    Definition definition{.inputs = std::move(inputs_), .output = output};
    TESSERA_ASSIGN_OR_RETURN(
        definition.workload,
        std::move(builder_).Finish({made_.at(output)}, PlacementOf(graph_.nodes[output].type)));
    Prune(definition);
    definition.workload.name = std::string(name);
    TESSERA_RETURN_IF_ERROR(Annotate(te::Verify(definition.workload.dag), name));
    return definition;
  }

 private:
  // What an operator does with numbers that are known may leave operands unread.
  static void Prune(Definition& definition) {
    te::Dag& dag = definition.workload.dag;
    absl::flat_hash_set<const ir::BufferNode*> read{dag.outputs[0].get()};
    for (size_t s = dag.stages.size(); s-- > 0;) {
      const te::Stage& stage = dag.stages[s];
      const bool is_read = std::ranges::any_of(
          stage.outputs, [&](const ir::Buffer& made) { return read.contains(made.get()); });
      if (!is_read) {
        dag.stages.erase(dag.stages.begin() + static_cast<int64_t>(s));
        continue;
      }
      for (const ir::Expr& body : stage.bodies) {
        for (const ir::BufferNode* buffer : LoadedBy(body)) read.insert(buffer);
      }
    }
    for (size_t i = dag.inputs.size(); i-- > 0;) {
      if (read.contains(dag.inputs[i].buffer.get())) continue;
      dag.inputs.erase(dag.inputs.begin() + static_cast<int64_t>(i));
      definition.inputs.erase(definition.inputs.begin() + static_cast<int64_t>(i));
    }
  }

  // Windows slide over buffers, whatever they hold.
  Operand Outside(int index, bool is_weight, Pattern pattern) {
    const Node& node = graph_.nodes[index];
    const TensorType& type = node.type;
    const bool takes_numbers = pattern == Pattern::kElementwise || pattern == Pattern::kInjective;
    if (node.is_constant() && type.ElementCount() == 1 && takes_numbers) {
      return {type.element.is_float() ? ir::MakeFloat(type.element, node.constant->At(0))
                                      : ir::MakeInt(type.element, node.constant->IntAt(0)),
              type};
    }
    const auto [found, is_new] = made_.try_emplace(index);
    if (is_new) {
      inputs_.push_back(index);
      const std::vector<te::Dim> dims = DimsOf(type.shape);
      if (node.is_constant()) {
        found->second = builder_.Constant(Unique(is_weight ? "W" : "C"), type.element, dims,
                                          is_weight ? te::FreePlacement() : te::Placement{});
      } else {
        found->second = builder_.Input(Unique("X"), type.element, dims, PlacementOf(type));
      }
    }
    return {found->second, type};
  }

  // "max" has a meaning of its own in the text of workloads: the stage is max_.
  std::string Unique(std::string name) {
    if (!te::IsName(name)) name += "_";
    const int count = ++used_[name];
    return count == 1 ? name : absl::StrCat(name, "_", count);
  }

  const Graph& graph_;
  te::DagBuilder builder_;
  std::map<int, ir::Buffer> made_;
  std::map<std::string, int> used_;
  std::vector<int> inputs_;
};

}  // namespace

absl::StatusOr<Definition> Define(const Graph& graph, absl::Span<const int> nodes,
                                  std::string_view name) {
  TESSERA_CHECK(!nodes.empty());
  Definer definer(graph);
  for (const int node : nodes) definer.Add(node, nodes);
  return std::move(definer).Finish(nodes.back(), name);
}

}  // namespace tessera::graph
