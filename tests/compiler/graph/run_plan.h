#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "compiler/graph/plan.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/reference.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {

// Elements of rows as a buffer's layout stores them, or back.
enum class Way : uint8_t { kStore, kLoad };
inline void CopyElements(const ir::BufferNode& buffer, Way way, absl::Span<std::byte> rows,
                         absl::Span<std::byte> stored) {
  const auto width = static_cast<size_t>(buffer.type.bits / 8);
  std::vector<int64_t> index(buffer.shape.size(), 0);
  for (int64_t i = 0; i < buffer.ElementCount(); ++i) {
    int64_t left = i;
    for (size_t d = index.size(); d-- > 0; left /= buffer.shape[d])
      index[d] = left % buffer.shape[d];
    std::byte* row = &rows[static_cast<size_t>(i) * width];
    std::byte* there = &stored[static_cast<size_t>(ir::StoredOffset(buffer, index)) * width];
    std::memcpy(way == Way::kStore ? there : row, way == Way::kStore ? row : there, width);
  }
}

// Runs a plan's steps on its arena, where values are stored as their layouts say, by the
// interpreter.
inline std::vector<std::vector<double>> RunPlan(const Plan& plan,
                                                const std::vector<TensorRef>& inputs) {
  std::vector<std::byte> arena(static_cast<size_t>(plan.arena_bytes), std::byte{0x5a});
  std::vector<std::vector<std::byte>> in, out, constants(plan.graph.nodes.size());
  for (const TensorRef& input : inputs) in.push_back(input->bytes);
  for (const int output : plan.graph.outputs) {
    out.emplace_back(static_cast<size_t>(plan.graph.nodes[output].type.Bytes()));
  }
  const auto memory = [&](int node) {
    const Place place = plan.places[node];
    const auto bytes = static_cast<size_t>(plan.graph.nodes[node].type.StoredBytes());
    switch (place.kind) {
      case Place::Kind::kInput:
        return absl::MakeSpan(in[static_cast<size_t>(place.at)]);
      case Place::Kind::kOutput:
        return absl::MakeSpan(out[static_cast<size_t>(place.at)]);
      case Place::Kind::kArena:
        return absl::MakeSpan(arena).subspan(static_cast<size_t>(place.at), bytes);
      case Place::Kind::kConstant: {
        auto& copy = constants[static_cast<size_t>(place.at)];
        copy = plan.graph.nodes[static_cast<size_t>(place.at)].constant->bytes;
        return absl::MakeSpan(copy);
      }
      case Place::Kind::kNowhere:
        break;
    }
    FAIL("a step uses " << plan.graph.nodes[node].name << ", which has no place");
    return absl::Span<std::byte>();
  };
  for (const Step& step : plan.steps) {
    const te::Workload& workload = plan.tasks[step.task].workload;
    std::vector<std::vector<std::byte>> rows;
    for (size_t i = 0; i < step.operands.size(); ++i) {
      const ir::BufferNode& buffer = *workload.dag.inputs[i].buffer;
      const int64_t bytes = buffer.ElementCount() * buffer.type.bits / 8;
      CopyElements(buffer, Way::kLoad, absl::MakeSpan(rows.emplace_back(bytes)),
                   memory(step.operands[i]));
    }
    const ir::BufferNode& result = *workload.dag.outputs[0];
    rows.emplace_back(result.ElementCount() * result.type.bits / 8);
    std::vector<absl::Span<std::byte>> buffers;
    for (auto& row : rows) buffers.push_back(absl::MakeSpan(row));
    REQUIRE(ir::Evaluate(te::ReferenceProgram(workload), buffers).ok());
    CopyElements(result, Way::kStore, buffers.back(), memory(step.result));
  }
  std::vector<std::vector<double>> values;
  for (size_t o = 0; o < out.size(); ++o) {
    const TensorType& type = plan.graph.nodes[plan.graph.outputs[o]].type;
    Tensor tensor{{type.element, type.shape, {}}, out[o]};
    values.push_back(Values(tensor));
  }
  return values;
}

}  // namespace tessera::graph
