#include "compiler/graph/adjoint.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/adjoint_rules.h"

namespace tessera::graph {
namespace {

// By node whether it changes with one of `from`, other than by jumps.
std::vector<bool> DependOn(const Graph& graph, absl::Span<const int> from) {
  std::vector<bool> depends(graph.nodes.size(), false);
  for (const int node : from) depends[node] = true;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.type.element.is_float() || node.operands.empty()) continue;
    const AdjointRow* row = FindAdjoint(node.op);
    if (row != nullptr && row->rule == nullptr) continue;
    depends[i] = std::ranges::any_of(node.operands, [&](int operand) { return depends[operand]; });
  }
  return depends;
}

// By node whether an output changes with it.
std::vector<bool> Matter(const Graph& graph) {
  std::vector<bool> matters(graph.nodes.size(), false);
  for (const int output : graph.outputs) {
    matters[output] = graph.nodes[output].type.element.is_float();
  }
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    const AdjointRow* row = FindAdjoint(node.op);
    if (!matters[i] || (row != nullptr && row->rule == nullptr)) continue;
    for (const int operand : node.operands) {
      if (graph.nodes[operand].type.element.is_float()) matters[operand] = true;
    }
  }
  return matters;
}

absl::Status CheckWrt(const Graph& graph, absl::Span<const int> wrt) {
  absl::flat_hash_set<int> seen;
  for (const int index : wrt) {
    if (index < 0 || index >= static_cast<int>(graph.nodes.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no node ", index, " of ", graph.nodes.size(), " to derive by"));
    }
    const Node& node = graph.nodes[index];
    if (!seen.insert(index).second) {
      return absl::InvalidArgumentError(absl::StrCat(node.name, " is to be derived by twice"));
    }
    if ((node.is_input() || node.is_constant()) && node.type.element.is_float()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(node.name, " is ", node.op, " of ", ToString(node.type),
                     "; derivatives are by inputs and constants of floats"));
  }
  return absl::OkStatus();
}

class Deriver {
 public:
  Deriver(const Graph& graph, absl::Span<const int> wrt)
      : graph_(graph), wrt_(wrt), steps_(graph.name + "_backward") {}

  absl::StatusOr<Graph> Run() {
    TESSERA_RETURN_IF_ERROR(CopyForward());
    depends_ = DependOn(graph_, wrt_);
    cotangents_.assign(graph_.nodes.size(), Steps::kNone);
    TESSERA_RETURN_IF_ERROR(TakeCotangents());
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      TESSERA_RETURN_IF_ERROR(Derive(static_cast<int>(i)));
    }
    return Finish();
  }

 private:
  // Nodes keep their numbers.
  absl::Status CopyForward() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      const bool is_input = std::ranges::count(wrt_, static_cast<int>(i)) > 0;
      TESSERA_RETURN_IF_ERROR((is_input ? steps_.builder().Input(node.name, node.type)
                                        : steps_.builder().Copy(node, node.operands))
                                  .status());
    }
    return absl::OkStatus();
  }

  absl::Status TakeCotangents() {
    for (const int output : graph_.outputs) {
      if (!depends_[output]) continue;
      TensorType type = graph_.nodes[output].type;
      type.layout.clear();
      TESSERA_ASSIGN_OR_RETURN(
          const int cotangent,
          steps_.builder().Input(absl::StrCat("d_", graph_.nodes[output].name), std::move(type)));
      Accumulate(output, cotangent);
    }
    return absl::OkStatus();
  }

  void Accumulate(int node, int cotangent) {
    if (cotangent == Steps::kNone) return;
    int& sum = cotangents_[node];
    sum = sum == Steps::kNone ? cotangent : steps_.Plus(sum, cotangent);
  }

  absl::Status Derive(int index) {
    const Node& node = graph_.nodes[index];
    if (cotangents_[index] == Steps::kNone || !depends_[index] || node.operands.empty()) {
      return absl::OkStatus();
    }
    const AdjointRow* row = FindAdjoint(node.op);
    if (row == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(node.name, ": the operator ", node.op,
                       " has no derivative here; derive by what comes behind it, or express it by "
                       "others"));
    }
    const Site site{steps_, steps_.builder().node(index), index, cotangents_[index]};
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const int operand = node.operands[i];
      if (!depends_[operand]) continue;
      const int part = row->rule(site, i);
      Accumulate(operand, steps_.SumTo(part, graph_.nodes[operand].type.shape));
      TESSERA_RETURN_IF_ERROR(
          Annotate(steps_.status(), absl::StrCat("the derivative of ", node.name)));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Graph> Finish() {
    std::vector<int> outputs;
    for (const int index : wrt_) {
      const Node& node = graph_.nodes[index];
      int gradient = cotangents_[index];
      if (gradient == Steps::kNone) {
        return absl::InvalidArgumentError(
            absl::StrCat("no output depends on ", node.name,
                         " by floats: its gradient is 0 everywhere; leave it out"));
      }
      // Outputs have names of their own, inputs keep theirs.
      if (steps_.builder().node(gradient).is_input() || std::ranges::count(outputs, gradient) > 0) {
        gradient = steps_.Add("reshape", {gradient}, {{"shape", node.type.shape}});
        TESSERA_RETURN_IF_ERROR(steps_.status());
      }
      steps_.builder().Rename(gradient, absl::StrCat("d_", node.name));
      outputs.push_back(gradient);
    }
    return std::move(steps_.builder()).Finish(std::move(outputs));
  }

  const Graph& graph_;
  const absl::Span<const int> wrt_;
  Steps steps_;
  std::vector<bool> depends_;
  std::vector<int> cotangents_;  // by node
};

}  // namespace

const AdjointRow* FindAdjoint(std::string_view op) {
  static const auto* const by_name = [] {
    auto* map = new absl::flat_hash_map<std::string_view, AdjointRow>;
    for (auto* family :
         {ElementwiseAdjoints, ShapeAdjoints, ReductionAdjoints, ProductAdjoints, WindowAdjoints}) {
      for (const AdjointRow& row : family()) TESSERA_CHECK(map->emplace(row.op, row).second);
    }
    return map;
  }();
  const auto found = by_name->find(op);
  return found == by_name->end() ? nullptr : &found->second;
}

absl::StatusOr<Graph> Adjoint(const Graph& graph, absl::Span<const int> wrt) {
  TESSERA_RETURN_IF_ERROR(CheckWrt(graph, wrt));
  if (wrt.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(graph.name, ": there is nothing to derive by; name inputs or constants"));
  }
  return Deriver(graph, wrt).Run();
}

std::vector<int> Parameters(const Graph& graph) {
  const std::vector<bool> matters = Matter(graph);
  std::vector<int> constants, inputs;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!matters[i]) continue;
    if (node.is_input()) inputs.push_back(static_cast<int>(i));
    if (node.is_constant() && node.type.ElementCount() > 1) {
      constants.push_back(static_cast<int>(i));
    }
  }
  return constants.empty() ? inputs : constants;
}

}  // namespace tessera::graph
