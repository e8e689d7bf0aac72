#include "compiler/library/model.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::library {

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

absl::Status CheckModel(const LibraryModel& model, int ops) {
  const auto callers = static_cast<int64_t>(model.inputs.size() + model.outputs.size());
  const auto refuse = [&](size_t step, const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.name, ": step ", step, " ", what));
  };
  for (size_t s = 0; s < model.steps.size(); ++s) {
    const LibraryModel::Step& step = model.steps[s];
    if (step.op < 0 || step.op >= ops) {
      return refuse(s, absl::StrCat("runs operator ", step.op, " of ", ops));
    }
    std::vector<ModelPlace> places = step.inputs;
    places.push_back(step.output);
    for (const ModelPlace& place : places) {
      const int64_t limit = place.kind == ModelPlace::Kind::kCaller ? callers
                            : place.kind == ModelPlace::Kind::kArena
                                ? model.arena_bytes
                                : static_cast<int64_t>(model.constants.size());
      if (place.at < 0 || place.at >= limit) {
        return refuse(s, absl::StrCat("uses place ", place.at, " of ", limit));
      }
    }
    if (step.output.kind == ModelPlace::Kind::kConstant) return refuse(s, "writes a constant");
  }
  return absl::OkStatus();
}

}  // namespace tessera::library
