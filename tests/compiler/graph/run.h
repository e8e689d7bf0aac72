#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "base/test_data.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/text.h"

namespace tessera::graph {

// Of text without constants that only a digest tells.
inline Graph Parsed(std::string_view text) {
  const absl::StatusOr<Graph> graph = ParseGraph(text, [](const std::string& digest) {
    return absl::StatusOr<std::string>(absl::NotFoundError("no blob " + digest));
  });
  INFO(text);
  INFO(graph.status().ToString());
  REQUIRE(graph.ok());
  return *graph;
}

inline std::vector<double> Values(const Tensor& tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < tensor.type.ElementCount(); ++i) values.push_back(tensor.At(i));
  return values;
}

// Seeded values of each input, between -1 and 1, or whole numbers from -8 to 7.
inline std::vector<TensorRef> SomeInputs(const Graph& graph, uint64_t seed) {
  std::vector<TensorRef> inputs;
  for (const int index : graph.Inputs()) {
    const TensorType& type = graph.nodes[index].type;
    std::vector<double> values;
    for (int64_t i = 0; i < type.ElementCount(); ++i) {
      const double value = TestValue(seed, index, i);
      values.push_back(type.element.is_float() ? value : std::floor(value * 8));
    }
    inputs.push_back(MakeTensor(type.element, type.shape, values));
  }
  return inputs;
}

inline std::vector<std::vector<double>> Outputs(const Graph& graph,
                                                const std::vector<TensorRef>& inputs) {
  const absl::StatusOr<std::vector<TensorRef>> outputs = Evaluate(graph, inputs);
  INFO(outputs.status().ToString());
  REQUIRE(outputs.ok());
  std::vector<std::vector<double>> values;
  for (const TensorRef& output : *outputs) values.push_back(Values(*output));
  return values;
}

}  // namespace tessera::graph
