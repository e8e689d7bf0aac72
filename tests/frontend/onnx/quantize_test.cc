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

// A product of an image (a matrix) and weights that both stand for bytes, with a bias. `hidden`:
// behind something that nobody looks through, so that floats are multiplied.
struct Pairs {
  std::string op;
  int64_t zero = 0;  // of the image
  int weight_type = onnx::TensorProto::INT8;
  bool by_channel = true, bias_of_integers = true;
  Fields fields = {};
};

Model ProductOfPairs(const Pairs& pairs, std::mt19937_64& random, bool hidden) {
  const auto bytes = [&](int64_t count) {
    Shape values;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<int64_t>(random() % 255) - 127);
    return values;
  };
  const bool is_conv = pairs.op == "Conv";
  const Shape image = is_conv ? Shape{2, 4, 6, 5} : Shape{3, 8};
  const Shape weights = is_conv              ? Shape{6, 4, 3, 3}
                        : pairs.op == "Gemm" ? Shape{6, 8}
                                             : Shape{8, 6};
  const int64_t axis = pairs.op == "MatMul" ? 1 : 0;
  std::vector<double> scales(pairs.by_channel ? 6 : 1, 0.02), steps;
  for (size_t i = 0; i < scales.size(); ++i) scales[i] *= 1 + static_cast<double>(i);
  for (const double scale : scales) steps.push_back(scale * 0.5);
  const Shape shape = pairs.by_channel ? Shape{6} : Shape{};
  Model model;
  model.Input("x", image)
      .Floats("sx", {}, {0.5})
      .Bytes("zx", {}, {pairs.zero})
      .Floats("sw", shape, scales)
      .Bytes("zw", shape, Shape(scales.size(), 0), pairs.weight_type)
      .Bytes("wq", weights, bytes(is_conv ? 216 : 48), pairs.weight_type)
      .Floats("sb", shape, steps)
      .Bytes("zb", shape, Shape(scales.size(), 0), onnx::TensorProto::INT32)
      .Bytes("bq", {6}, bytes(6), onnx::TensorProto::INT32)
      .Floats("bf", {6}, {1, -2, 0.25, 3, 0, 7})
      .Node("QuantizeLinear", {"x", "sx", "zx"}, {"q"})
      .Node("DequantizeLinear", {"q", "sx", "zx"}, {"d"})
      .Node("DequantizeLinear", {"wq", "sw", "zw"}, {"w"}, {{"axis", axis}})
      .Node("DequantizeLinear", {"bq", "sb", "zb"}, {"bi"}, {{"axis", int64_t{0}}});
  if (hidden) model.Node("Neg", {"d"}, {"minus"}).Node("Neg", {"minus"}, {"plain"});
  std::vector<std::string> operands{hidden ? "plain" : "d", "w"};
  if (pairs.op != "MatMul") operands.push_back(pairs.bias_of_integers ? "bi" : "bf");
  model.Node(pairs.op, operands, {"y"}, pairs.fields).Output("y");
  model.Floats("sy", {}, {37})
      .Bytes("zy", {}, {100})
      .Node("QuantizeLinear", {"y", "sy", "zy"}, {"z"});
  return model.Output("z");
}

}  // namespace

TEST_CASE("products of numbers that bytes stand for are computed on the bytes", "[onnx]") {
  const uint64_t seed = 5;
  CAPTURE(seed);
  const Fields pads{{"pads", Shape{1, 0, 2, 1}}, {"strides", Shape{2, 1}}},
      turned{{"transB", int64_t{1}}};
  const auto [pairs, on_bytes] = GENERATE_COPY(table<Pairs, bool>({
      {{.op = "Conv", .fields = pads}, true},
      {{.op = "Conv", .zero = 117, .fields = pads}, true},
      {{.op = "Conv", .zero = 3, .by_channel = false}, true},
      {{.op = "Conv", .zero = 200, .bias_of_integers = false, .fields = pads}, true},
      {{.op = "Conv", .weight_type = onnx::TensorProto::INT16}, false},
      {{.op = "Gemm", .zero = 9, .fields = turned}, true},
      {{.op = "Gemm", .bias_of_integers = false, .fields = turned}, true},
      {{.op = "MatMul", .zero = 128}, true},
      {{.op = "MatMul", .by_channel = false}, true},
  }));
  CAPTURE(pairs.op, pairs.zero, pairs.by_channel, pairs.bias_of_integers);
  std::mt19937_64 random(seed), same(seed);
  const Model model = ProductOfPairs(pairs, random, false);
  const Model floats = ProductOfPairs(pairs, same, true);
  const graph::Graph graph = Imported(model);
  const auto product = std::ranges::find_if(graph.nodes, [](const graph::Node& node) {
    return node.op == "conv" || node.op == "matmul";
  });
  REQUIRE(product != graph.nodes.end());
  CHECK((product->type.element == ir::Int(32)) == on_bytes);
  if (on_bytes) CHECK(graph.operand(*product, 0).type.element == ir::UInt(8));
  const Shape image = pairs.op == "Conv" ? Shape{2, 4, 6, 5} : Shape{3, 8};
  std::vector<double> values = Draw(random, pairs.op == "Conv" ? 240 : 24);
  for (double& value : values) value *= 60;
  const graph::Sample sample{FloatTensor(image, values)};
  const auto actual = graph::Evaluate(graph, sample);
  const auto expected = graph::Evaluate(Imported(floats), sample);
  REQUIRE(actual.ok());
  REQUIRE(expected.ok());
  for (const int64_t output : {0, 1}) {
    const graph::Tensor &a = *(*actual)[output], &b = *(*expected)[output];
    REQUIRE(a.type == b.type);
    for (int64_t i = 0; i < a.type.ElementCount(); ++i) {
      // Sums of floats are rounded; a step of the quantised result may be the next one then.
      CHECK(a.At(i) == Approx(b.At(i)).epsilon(1e-4).margin(output == 0 ? 1e-2 : 1));
    }
  }
}

TEST_CASE("biases that sums of 32 bits could not hold are added as numbers", "[onnx]") {
  // A channel of tiny weights, as quantisers leave it: its bias has nearly 2³¹ steps.
  Model model;
  model.Input("x", {1, 1, 1, 2})
      .Floats("sx", {}, {0.01})
      .Bytes("zx", {}, {0})
      .Floats("sw", {}, {1e-6})
      .Bytes("zw", {}, {0}, onnx::TensorProto::INT8)
      .Bytes("wq", {1, 1, 1, 1}, {127}, onnx::TensorProto::INT8)
      .Floats("sb", {}, {1e-8})
      .Bytes("zb", {}, {0}, onnx::TensorProto::INT32)
      .Bytes("bq", {1}, {2147483000}, onnx::TensorProto::INT32)
      .Node("QuantizeLinear", {"x", "sx", "zx"}, {"q"})
      .Node("DequantizeLinear", {"q", "sx", "zx"}, {"d"})
      .Node("DequantizeLinear", {"wq", "sw", "zw"}, {"w"})
      .Node("DequantizeLinear", {"bq", "sb", "zb"}, {"b"})
      .Node("Conv", {"d", "w", "b"}, {"y"})
      .Output("y");
  for (const double value : Result(model, {FloatTensor({1, 1, 1, 2}, {0, 2.5})})) {
    CHECK(value == Approx(21.47483).epsilon(1e-4));
  }
}

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
