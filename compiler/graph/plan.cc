#include "compiler/graph/plan.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/define.h"
#include "compiler/graph/memory_plan.h"

namespace tessera::graph {
namespace {

// The same bytes under another shape.
TensorRef Reshaped(const Tensor& tensor, const TensorType& type) {
  auto reshaped = std::make_shared<Tensor>(tensor);
  reshaped->type.shape = type.shape;
  return reshaped;
}

// With constants in the place of views of them, and with copies of outputs that nothing computes
// into memory of their own: inputs, constants, and what is an output already.
absl::StatusOr<Graph> Prepared(const Graph& graph) {
  GraphBuilder builder(graph.name);
  const std::vector<View> views = FindViews(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const bool is_known = views[i].of >= 0 && builder.node(node.operands[0]).is_constant();
    TESSERA_RETURN_IF_ERROR(
        (is_known ? builder.Constant(node.name,
                                     Reshaped(*builder.node(node.operands[0]).constant, node.type))
                  : builder.Copy(node, node.operands))
            .status());
  }
  // What a node is another name of.
  const auto root = [&](int node) {
    while (views[node].of >= 0) node = views[node].of;
    return node;
  };
  absl::flat_hash_set<int> taken;
  std::vector<int> outputs;
  for (int output : graph.outputs) {
    const Node& source = graph.nodes[root(output)];
    if (source.is_input() || source.is_constant() || !taken.insert(root(output)).second) {
      const Node& node = graph.nodes[output];
      TESSERA_ASSIGN_OR_RETURN(
          output, builder.Add("slice", {output},
                              {{"starts", std::vector<int64_t>(node.type.shape.size(), 0)},
                               {"steps", std::vector<int64_t>(node.type.shape.size(), 1)},
                               {"shape", node.type.shape}},
                              node.name));
    }
    outputs.push_back(output);
  }
  return std::move(builder).Finish(std::move(outputs));
}

class Planner {
 public:
  explicit Planner(Graph graph) {
    plan_.graph = std::move(graph);
    bytes_.resize(plan_.graph.nodes.size());
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i].of = static_cast<int>(i);
  }

  absl::StatusOr<Plan> Run() {
    const std::vector<View> views = FindViews(plan_.graph);
    const std::vector<View> parts = FindParts(plan_.graph);
    std::vector<bool> has_parts(parts.size(), false);
    for (const View& part : parts) {
      if (part.of >= 0) has_parts[part.of] = true;
    }
    for (const Group& group : Fuse(plan_.graph)) {
      const View& view = views[group.back()];
      if (group.size() == 1 && view.of >= 0) {
        bytes_[group[0]] = view;
      } else if (group.size() > 1 || !has_parts[group[0]]) {
        TESSERA_CHECK(!has_parts[group.back()]);
        TESSERA_RETURN_IF_ERROR(AddStep(group));
      }
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].of < 0) continue;
      auto made = static_cast<int>(i);
      while (bytes_[made].of != made) made = bytes_[made].of;
      bytes_[made] = parts[i];
    }
    for (size_t i = 0; i < bytes_.size(); ++i) {
      View& view = bytes_[i];
      while (bytes_[view.of].of != view.of) {
        const View& whole = bytes_[view.of];
        view = {whole.of, view.offset + whole.offset};
      }
    }
    PlaceValues();
    return std::move(plan_);
  }

 private:
  absl::Status AddStep(const Group& group) {
    const std::string& name = plan_.graph.nodes[group.back()].name;
    TESSERA_ASSIGN_OR_RETURN(Definition definition, Define(plan_.graph, group, name));
    const auto [found, is_new] = tasks_.try_emplace(te::StructuralHash(definition.workload.dag),
                                                    static_cast<int>(plan_.tasks.size()));
    if (is_new) {
      definition.workload.name = UniqueName(name);
      plan_.tasks.push_back({std::move(definition.workload), 0});
    }
    ++plan_.tasks[found->second].steps;
    plan_.steps.push_back({found->second, std::move(definition.inputs), definition.output});
    return absl::OkStatus();
  }

  std::string UniqueName(std::string_view node) {
    const std::string base = TaskName(node);
    std::string name = base;
    for (int i = 2; !names_.insert(name).second; ++i) name = absl::StrCat(base, "_", i);
    return name;
  }

  void PlaceValues() {
    const Graph& graph = plan_.graph;
    plan_.places.resize(graph.nodes.size());
    int64_t inputs = 0;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      if (graph.nodes[i].is_input()) plan_.places[i] = {Place::Kind::kInput, inputs++};
      if (graph.nodes[i].is_constant()) {
        plan_.places[i] = {Place::Kind::kConstant, static_cast<int64_t>(i)};
      }
    }
    for (size_t o = 0; o < graph.outputs.size(); ++o) {
      plan_.places[bytes_[graph.outputs[o]].of] = {Place::Kind::kOutput, static_cast<int64_t>(o)};
    }
    std::vector<Lifetime> lifetimes;
    std::vector<int> nodes;                        // of lifetimes
    absl::flat_hash_map<int, size_t> lifetime_of;  // by node
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      const Step& step = plan_.steps[s];
      const auto number = static_cast<int>(s);
      for (const int operand : step.operands) {
        const auto found = lifetime_of.find(bytes_[operand].of);
        if (found != lifetime_of.end()) lifetimes[found->second].last = number;
      }
      const int made = bytes_[step.result].of;
      if (plan_.places[made].kind != Place::Kind::kNowhere) continue;
      const auto [found, is_new] = lifetime_of.try_emplace(made, lifetimes.size());
      if (is_new) {
        nodes.push_back(made);
        lifetimes.push_back({graph.nodes[made].type.StoredBytes(), number, number});
      } else {
        lifetimes[found->second].last = number;
      }
    }
    const MemoryPlan memory = PlanMemory(lifetimes, kPlaceAlignment);
    for (size_t i = 0; i < nodes.size(); ++i) {
      plan_.places[nodes[i]] = {Place::Kind::kArena, memory.offsets[i]};
    }
    plan_.arena_bytes = memory.arena_bytes;
    plan_.least_arena_bytes = memory.least_bytes;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const View& bytes = bytes_[i];
      if (bytes.of == static_cast<int>(i)) continue;
      plan_.places[i] = plan_.places[bytes.of];
      TESSERA_CHECK(bytes.offset == 0 || plan_.places[i].kind == Place::Kind::kArena);
      plan_.places[i].at += bytes.offset;
    }
  }

  Plan plan_;
  std::vector<View> bytes_;  // by node: what has bytes of its own, which may be the node itself
  absl::flat_hash_map<uint64_t, int> tasks_;
  absl::flat_hash_set<std::string> names_;  // of tasks
};

}  // namespace

std::string TaskName(std::string_view node) {
  constexpr size_t kMost = 180;  // of the 200 that workloads may have
  return absl::AsciiStrToLower(std::string(node.substr(0, kMost)));
}

absl::StatusOr<Plan> MakePlan(const Graph& graph) {
  TESSERA_ASSIGN_OR_RETURN(Graph prepared, Prepared(graph));
  return Planner(std::move(prepared)).Run();
}

}  // namespace tessera::graph
