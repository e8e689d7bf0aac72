#include "compiler/graph/quantize.h"

#include <algorithm>
#include <random>

#include "compiler/graph/calibrate.h"
#include "tests/frontend/onnx/model.h"

namespace tessera::frontend {
namespace {

std::vector<double> Draw(std::mt19937_64& random, int count) {
  std::uniform_real_distribution<double> draw(-1, 1);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(draw(random));
  return values;
}

// The elements of the constant that a node has for this operand.
Shape IntsOf(const graph::Graph& graph, const graph::Node& node, size_t operand) {
  const graph::TensorRef& constant = graph.operand(node, operand).constant;
  REQUIRE(constant != nullptr);
  Shape values;
  for (int64_t i = 0; i < constant->type.ElementCount(); ++i) values.push_back(constant->IntAt(i));
  return values;
}

}  // namespace

TEST_CASE("what is quantised here rounds as the same model of QLinear operators", "[onnx]") {
  const uint64_t seed = 17;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const Shape image{2, 3, 6, 5}, weights{4, 3, 3, 3};
  graph::GraphBuilder builder("g");
  const int x = *builder.Input("x", {ir::Float(32), image, {}});
  const int w = *builder.Constant("w", FloatTensor(weights, Draw(random, 108)));
  const int b = *builder.Constant("b", FloatTensor({4}, Draw(random, 4)));
  const int v = *builder.Constant("v", FloatTensor({1, 4, 1, 1}, Draw(random, 4)));
  const int conv = *builder.Add("conv", {x, w, b}, {{"before", Shape{1, 1}}}, "conv");
  const int last = *builder.Add("conv", {conv, v}, {}, "last");
  const graph::Graph graph = std::move(builder).Finish({last});
  const graph::Sample sample{FloatTensor(image, Draw(random, 180))};
  const auto largest = graph::Calibrate(graph, {sample}, {.method = graph::RangeMethod::kLargest});
  REQUIRE(largest.ok());
  const auto quantized = graph::Quantize(graph, *largest);
  REQUIRE(quantized.ok());
  graph::Graph narrow = quantized->graph;
  const auto found = std::ranges::find(narrow.nodes, "conv_i8", &graph::Node::name);
  REQUIRE(found != narrow.nodes.end());
  narrow.outputs = {static_cast<int>(found - narrow.nodes.begin())};

  // Its constants, and scales as their definition says.
  const auto sums = std::ranges::find(narrow.nodes, "conv_sums", &graph::Node::name);
  REQUIRE(sums != narrow.nodes.end());
  std::vector<double> scales;
  for (int channel = 0; channel < 4; ++channel) {
    double most = 0;
    for (int i = 0; i < 27; ++i) {
      most = std::max(most, std::abs(graph.nodes[w].constant->At(channel * 27 + i)));
    }
    scales.push_back(most / 127);
  }
  Model model;
  model.Input("x", image)
      .Floats("sx", {}, {(*largest)[static_cast<size_t>(x)] / 127})
      .Floats("sw", {4}, scales)
      .Floats("sy", {}, {(*largest)[static_cast<size_t>(conv)] / 127})
      .Bytes("wq", weights, IntsOf(narrow, *sums, 1), onnx::TensorProto::INT8)
      .Bytes("bq", {4}, IntsOf(narrow, *sums, 2), onnx::TensorProto::INT32);
  for (const char* name : {"zx", "zy"}) model.Bytes(name, {}, {0}, onnx::TensorProto::INT8);
  model.Bytes("zw", {4}, {0, 0, 0, 0}, onnx::TensorProto::INT8)
      .Node("QuantizeLinear", {"x", "sx", "zx"}, {"q"})
      .Node("QLinearConv", {"q", "sx", "zx", "wq", "sw", "zw", "sy", "zy", "bq"}, {"y"},
            {{"pads", Shape{1, 1, 0, 0}}})
      .Output("y");
  const auto outputs = graph::Evaluate(narrow, sample);
  REQUIRE(outputs.ok());
  std::vector<double> actual;
  for (int64_t i = 0; i < outputs->front()->type.ElementCount(); ++i) {
    actual.push_back(outputs->front()->At(i));
  }
  CHECK(actual == Result(model, sample));
  CHECK(std::ranges::count(actual, 0.0) < static_cast<int64_t>(actual.size()) / 4);
}

}  // namespace tessera::frontend
