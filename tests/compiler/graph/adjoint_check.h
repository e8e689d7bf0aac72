#pragma once

#include <algorithm>
#include <random>

#include "compiler/graph/adjoint.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {

// Floats between -1 and 1, or low and high, that are all different; whole numbers as SomeInputs.
inline TensorRef RandomTensor(const TensorType& type, std::mt19937_64& random, double low = -1,
                              double high = 1) {
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<double> values;
  for (int64_t i = 0; i < type.ElementCount(); ++i) {
    const double value = draw(random);
    values.push_back(type.element.is_float() ? value : std::floor(value * 4));
  }
  return MakeTensor(type.element, type.shape, values);
}

inline std::vector<TensorRef> RandomInputs(const Graph& graph, std::mt19937_64& random) {
  std::vector<TensorRef> inputs;
  for (const int input : graph.Inputs()) {
    inputs.push_back(RandomTensor(graph.nodes[input].type, random));
  }
  return inputs;
}

inline Graph Derived(const Graph& graph, const std::vector<int>& wrt) {
  absl::StatusOr<Graph> made = Adjoint(graph, wrt);
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  const absl::Status verified = Verify(*made);
  INFO(verified.ToString());
  REQUIRE(verified.ok());
  return *std::move(made);
}

inline double Inner(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Σ ⟨cotangent, output⟩ along random directions of each float input: its difference quotient, of
// f64 graphs good to about 10⁻⁹, against what the adjoint says.
inline void CheckDerivatives(const Graph& graph, uint64_t seed, int directions = 2) {
  INFO(Print(graph));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::vector<int> wrt;
  for (const int input : graph.Inputs()) {
    if (graph.nodes[input].type.element.is_float()) wrt.push_back(input);
  }
  const Graph backward = Derived(graph, wrt);
  INFO(Print(backward));
  const std::vector<TensorRef> inputs = RandomInputs(graph, random);
  std::vector<TensorRef> all = inputs;
  const std::vector<int> behind = backward.Inputs();
  std::vector<std::vector<double>> cotangents;
  for (size_t i = inputs.size(); i < behind.size(); ++i) {
    all.push_back(RandomTensor(backward.nodes[behind[i]].type, random));
    cotangents.push_back(Values(*all.back()));
  }
  REQUIRE(cotangents.size() == graph.outputs.size());
  const std::vector<std::vector<double>> gradients = Outputs(backward, all);
  REQUIRE(gradients.size() == wrt.size());
  const auto total = [&](const std::vector<TensorRef>& at) {
    const std::vector<std::vector<double>> outputs = Outputs(graph, at);
    double sum = 0;
    for (size_t o = 0; o < outputs.size(); ++o) sum += Inner(cotangents[o], outputs[o]);
    return sum;
  };
  const std::vector<int> own = graph.Inputs();
  for (size_t w = 0; w < wrt.size(); ++w) {
    const size_t place = std::ranges::find(own, wrt[w]) - own.begin();
    const TensorType& type = graph.nodes[wrt[w]].type;
    CHECK(backward.nodes[backward.outputs[w]].type.shape == type.shape);
    for (int d = 0; d < directions; ++d) {
      const std::vector<double> direction = Values(*RandomTensor(type, random));
      const auto moved = [&](double by) {
        std::vector<double> values = Values(*inputs[place]);
        for (size_t i = 0; i < values.size(); ++i) values[i] += by * direction[i];
        std::vector<TensorRef> at = inputs;
        at[place] = MakeTensor(type.element, type.shape, values);
        return total(at);
      };
      constexpr double kStep = 1e-6;
      const double quotient = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      CAPTURE(graph.nodes[wrt[w]].name, d);
      CHECK(Inner(gradients[w], direction) == Approx(quotient).epsilon(1e-6).margin(1e-6));
    }
  }
}

}  // namespace tessera::graph
