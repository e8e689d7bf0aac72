#include "compiler/library/model.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/graph/operators.h"
#include "compiler/runtime/ops.h"

namespace tessera::library {

static_assert(graph::kMaxKernelTensors <= TESSERA_OP_MAX_BUFFERS);

LibraryModel ModelOf(const graph::Plan& plan, std::string name) {
  LibraryModel model{.name = std::move(name)};
  const graph::Graph& graph = plan.graph;
  for (const int input : graph.Inputs()) {
    model.inputs.push_back({graph.nodes[input].name, graph.nodes[input].type});
  }
  for (const int output : graph.outputs) {
    model.outputs.push_back({graph.nodes[output].name, graph.nodes[output].type});
  }
  model.arena_bytes = plan.arena_bytes;
  absl::flat_hash_map<int64_t, int64_t> constants;  // where each node's lie
  const auto place_of = [&](int node) {
    const graph::Place place = plan.places[node];
    switch (place.kind) {
      case graph::Place::Kind::kInput:
        return ModelPlace{ModelPlace::Kind::kCaller, place.at};
      case graph::Place::Kind::kOutput:
        return ModelPlace{ModelPlace::Kind::kCaller,
                          static_cast<int64_t>(model.inputs.size()) + place.at};
      case graph::Place::Kind::kArena:
        return ModelPlace{ModelPlace::Kind::kArena, place.at};
      case graph::Place::Kind::kConstant: {
        const auto [found, is_new] = constants.try_emplace(place.at, 0);
        if (is_new) {
          const std::vector<std::byte>& bytes =
              graph.nodes[static_cast<size_t>(place.at)].constant->bytes;
          model.constants.resize((model.constants.size() + 63) / 64 * 64);
          found->second = static_cast<int64_t>(model.constants.size());
          model.constants.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        }
        return ModelPlace{ModelPlace::Kind::kConstant, found->second};
      }
      case graph::Place::Kind::kNowhere:
        break;
    }
    TESSERA_CHECK(false && "a step uses what has no place");
    return ModelPlace{};
  };
  for (const graph::Step& step : plan.steps) {
    LibraryModel::Step made{.op = step.task};
    for (const int operand : step.operands) made.inputs.push_back(place_of(operand));
    made.output = place_of(step.result);
    model.steps.push_back(std::move(made));
  }
  return model;
}

absl::Status CheckModel(const LibraryModel& model, absl::Span<const te::Workload* const> ops) {
  std::vector<ModelTensor> callers = model.inputs;
  callers.insert(callers.end(), model.outputs.begin(), model.outputs.end());
  // What a place has from its beginning on.
  const auto room = [&](const ModelPlace& place) {
    switch (place.kind) {
      case ModelPlace::Kind::kCaller: {
        const bool is_there = place.at >= 0 && place.at < static_cast<int64_t>(callers.size());
        return is_there ? callers[static_cast<size_t>(place.at)].type.StoredBytes() : 0;
      }
      case ModelPlace::Kind::kArena:
        return place.at < 0 ? 0 : model.arena_bytes - place.at;
      case ModelPlace::Kind::kConstant:
        break;
    }
    return place.at < 0 ? 0 : static_cast<int64_t>(model.constants.size()) - place.at;
  };
  for (size_t s = 0; s < model.steps.size(); ++s) {
    const LibraryModel::Step& step = model.steps[s];
    const auto refuse = [&](const std::string& what) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", model.name, ": step ", s, " ", what));
    };
    if (step.op < 0 || step.op >= static_cast<int>(ops.size())) {
      return refuse(absl::StrCat("runs operator ", step.op, " of ", ops.size()));
    }
    const te::Dag& dag = ops[static_cast<size_t>(step.op)]->dag;
    if (step.inputs.size() != dag.inputs.size() || dag.outputs.size() != 1) {
      return refuse(absl::StrCat("has ", step.inputs.size(),
                                 " inputs and one output; its operator ", dag.inputs.size(),
                                 " and ", dag.outputs.size()));
    }
    for (size_t i = 0; i <= step.inputs.size(); ++i) {
      const bool is_output = i == step.inputs.size();
      const ModelPlace& place = is_output ? step.output : step.inputs[i];
      const ir::BufferNode& buffer = is_output ? *dag.outputs[0] : *dag.inputs[i].buffer;
      const bool is_constant = !is_output && dag.inputs[i].is_constant;
      const int64_t alignment =
          place.kind == ModelPlace::Kind::kCaller ? 1 : graph::kPlaceAlignment;
      if (is_constant != (place.kind == ModelPlace::Kind::kConstant)) {
        return refuse(absl::StrCat(buffer.name, is_constant ? " is a constant" : " is none",
                                   " of its operator, but not of the model"));
      }
      if (!is_constant && buffer.policy != ir::LayoutPolicy::kFixed) {
        return refuse(absl::StrCat("leaves open how ", buffer.name, " is stored"));
      }
      // Constants are row-major until they are packed.
      const int64_t bytes =
          is_constant ? (buffer.ElementCount() * buffer.type.bits + 7) / 8 : buffer.StoredBytes();
      if (room(place) < bytes || place.at % alignment != 0) {
        return refuse(absl::StrCat("uses ", bytes, " bytes for ", buffer.name, " at place ",
                                   place.at, ", where there are ",
                                   std::max<int64_t>(0, room(place)), ", aligned to ", alignment));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::library
