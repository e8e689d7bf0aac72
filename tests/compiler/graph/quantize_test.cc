#include "compiler/graph/quantize.h"

#include <set>

#include "compiler/graph/accuracy.h"
#include "compiler/graph/passes.h"
#include "tests/compiler/graph/check_tasks.h"
#include "tests/compiler/graph/net.h"

namespace tessera::graph {
namespace {

using List = std::vector<int64_t>;

std::vector<Sample> RandomSamples(const Graph& graph, uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  std::vector<Sample> samples;
  for (int i = 0; i < count; ++i) samples.push_back(RandomInputs(graph, random));
  return samples;
}

std::vector<double> Calibrated(const Graph& graph, const std::vector<Sample>& samples,
                               const CalibrationOptions& options = {RangeMethod::kLargest}) {
  const auto largest = Calibrate(graph, samples, options);
  INFO(largest.status().ToString());
  REQUIRE(largest.ok());
  return *largest;
}

Quantized QuantizedOf(const Graph& graph, const std::vector<double>& largest,
                      const QuantizeOptions& options = {}) {
  absl::StatusOr<Quantized> made = Quantize(graph, largest, options);
  INFO(Print(graph));
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  INFO(Print(made->graph));
  const absl::Status verified = Verify(made->graph);
  INFO(verified.ToString());
  REQUIRE(verified.ok());
  const auto interface = [](const Graph& of) {
    std::vector<std::string> names;
    for (const int node : of.Inputs()) {
      names.push_back(of.nodes[node].name + ToString(of.nodes[node].type));
    }
    for (const int node : of.outputs) {
      names.push_back(of.nodes[node].name + ToString(of.nodes[node].type));
    }
    return names;
  };
  CHECK(interface(made->graph) == interface(graph));
  // It goes by the ranges that it said it would.
  const auto watched = NodesToWatch(graph, options);
  REQUIRE(watched.ok());
  std::vector<double> of_watched(largest.size(), 0);
  for (const int node : watched->ranges) of_watched[node] = largest[node];
  CHECK(Print(Quantize(graph, of_watched, options)->graph) == Print(made->graph));
  std::vector<int> products;
  for (const QuantizedValue& product : made->products) products.push_back(product.node);
  CHECK(watched->products == products);
  return *std::move(made);
}

int CountOf(const Graph& graph, std::string_view op, ir::Type element) {
  return static_cast<int>(std::ranges::count_if(graph.nodes, [&](const Node& node) {
    return node.op == op && node.type.element == element;
  }));
}

// A small net of what vision models are made of.
Graph RandomNet(uint64_t seed) {
  Net net(seed);
  std::mt19937_64 random(seed);
  int x = net.Add("relu", {net.Conv(net.Input({1, 3, 8, 8}), 6, 3, 1)});
  for (int layer = 0; layer < 4; ++layer) {
    const List shape = net.builder_.type(x).shape;
    const Attributes same{{"before", List{1, 1}}, {"behind", List{1, 1}}};
    switch (random() % 6) {
      case 0:
        x = net.Add("relu", {net.Add("add", {x, net.Conv(x, shape[1], 3, 1)})});
        break;
      case 1:
        x = net.Add("clip", {net.Add("depthwise_conv", {x, net.Weights({shape[1], 3, 3})}, same)},
                    {{"min", 0.0}, {"max", 6.0}});
        break;
      case 2:
        x = net.Add(random() % 2 == 0 ? "max_pool" : "avg_pool", {x}, {{"kernel", List{2, 2}}});
        break;
      case 3:
        x = net.Add("concat", {net.Conv(x, 4, 1, 1), x}, {{"axis", int64_t{1}}});
        break;
      case 4: {
        const int mean = net.Add("reduce_mean", {x}, {{"axes", List{2, 3}}});
        x = net.Add("mul", {x, net.Add("sigmoid", {net.Conv(mean, shape[1], 1, 1)})});
        break;
      }
      default:
        x = net.Add("gelu", {net.Conv(x, 5, 3, 1)});
        break;
    }
  }
  x = net.Add("reduce_mean", {x}, {{"axes", List{2, 3}}, {"keep", int64_t{0}}});
  return net.Finish(net.Dense(x, 10));
}

// --- ONNX's QLinear arithmetic, as its documents have it, on f32

float Scale(double largest) { return static_cast<float>(largest / 127); }
double Saturated(float steps) { return std::min(std::max(std::nearbyint(steps), -128.0F), 127.0F); }
std::vector<double> QuantizeLinear(const std::vector<double>& x, float scale) {
  std::vector<double> q;
  for (const double value : x) q.push_back(Saturated(static_cast<float>(value) / scale));
  return q;
}
double Magnitude(const std::vector<double>& x) {
  double largest = 0;
  for (const double value : x) largest = std::max(largest, std::abs(value));
  return largest;
}
// Of an image [channels, size, size] and weights [out, channels, 3, 3], padded by one.
std::vector<double> QLinearConv(const std::vector<double>& x, int size, float scale_x,
                                const std::vector<double>& weights, const std::vector<double>& bias,
                                float scale) {
  const int channels = static_cast<int>(x.size()) / size / size;
  const int outs = static_cast<int>(bias.size()), taps = channels * 9;
  std::vector<double> made;
  for (int o = 0; o < outs; ++o) {
    const std::vector<double> own(weights.begin() + o * taps, weights.begin() + (o + 1) * taps);
    const float scale_w = Scale(Magnitude(own));
    const double start =
        std::nearbyint(bias[static_cast<size_t>(o)] / static_cast<double>(scale_x * scale_w));
    for (int i = 0; i < size * size; ++i) {
      int64_t sum = static_cast<int64_t>(start);
      for (int t = 0; t < taps; ++t) {
        const int row = i / size + t % 9 / 3 - 1, column = i % size + t % 3 - 1;
        if (row < 0 || column < 0 || row >= size || column >= size) continue;
        const double w = std::nearbyint(own[static_cast<size_t>(t)] / static_cast<double>(scale_w));
        sum += static_cast<int64_t>(w) *
               static_cast<int64_t>(x[static_cast<size_t>((t / 9 * size + row) * size + column)]);
      }
      made.push_back(Saturated(static_cast<float>(sum) * (scale_x * scale_w / scale)));
    }
  }
  return made;
}
std::vector<double> QLinearAdd(const std::vector<double>& a, float scale_a,
                               const std::vector<double>& b, float scale_b, float scale) {
  std::vector<double> made;
  for (size_t i = 0; i < a.size(); ++i) {
    const float sum = static_cast<float>(a[i]) * scale_a + static_cast<float>(b[i]) * scale_b;
    made.push_back(Saturated(sum / scale));
  }
  return made;
}
std::vector<double> Relu(std::vector<double> x) {
  for (double& value : x) value = std::max(value, 0.0);
  return x;
}

}  // namespace

TEST_CASE("a quantised block computes what QLinear operators do", "[graph]") {
  const uint64_t seed = 9;
  CAPTURE(seed);
  Net net(seed);
  const int size = 6;
  const int x = net.Input({1, 3, size, size});
  const int one = net.Conv(x, 4, 3, 1), relu = net.Add("relu", {one});
  const int two = net.Conv(relu, 4, 3, 1), sum = net.Add("add", {two, relu});
  const int three = net.Conv(sum, 2, 3, 1);
  const Graph graph = net.Finish(three);
  const std::vector<Sample> samples = RandomSamples(graph, seed, 3);
  const std::vector<double> largest = Calibrated(graph, samples);
  const Quantized quantized = QuantizedOf(graph, largest);
  CHECK(quantized.floats.empty());
  REQUIRE(quantized.products.size() == 3);
  CHECK(quantized.products[0].node == relu);
  CHECK(quantized.products[2].scale == 0);
  CHECK(CountOf(quantized.graph, "conv", ir::Int(32)) == 3);
  CHECK(CountOf(quantized.graph, "relu", ir::Int(8)) == 1);

  Graph watched = quantized.graph;
  watched.outputs.clear();
  for (const char* name : {"relu_i8", "add_i8"}) {
    const auto found = std::ranges::find(watched.nodes, name, &Node::name);
    REQUIRE(found != watched.nodes.end());
    watched.outputs.push_back(static_cast<int>(found - watched.nodes.begin()));
  }
  const auto weights = [&](int conv) {
    return Values(*graph.operand(graph.nodes[conv], 1).constant);
  };
  const auto bias = [&](int conv) { return Values(*graph.operand(graph.nodes[conv], 2).constant); };
  const auto scale = [&](int node) { return Scale(largest[static_cast<size_t>(node)]); };
  for (const Sample& sample : samples) {
    const auto actual = Outputs(watched, sample);
    const std::vector<double> q = QuantizeLinear(Values(*sample[0]), scale(x));
    const std::vector<double> first =
        Relu(QLinearConv(q, size, scale(x), weights(one), bias(one), scale(relu)));
    CHECK(actual[0] == first);
    const std::vector<double> second =
        QLinearConv(first, size, scale(relu), weights(two), bias(two), scale(two));
    CHECK(actual[1] == QLinearAdd(second, scale(two), first, scale(relu), scale(sum)));
  }
}

TEST_CASE("random nets keep their values in i8", "[graph]") {
  double worst = 1000;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomNet(seed);
    const std::vector<Sample> samples = RandomSamples(graph, seed, 4);
    const Quantized quantized = QuantizedOf(graph, Calibrated(graph, samples));
    CHECK(quantized.floats.empty());
    const auto accuracy = MeasureAccuracy(graph, quantized, samples);
    INFO(accuracy.status().ToString());
    REQUIRE(accuracy.ok());
    CHECK(accuracy->samples == 4);
    CHECK(accuracy->products.size() == quantized.products.size());
    for (const ValueError& value : accuracy->products) {
      CAPTURE(value.name, value.snr_db, value.largest_error, value.largest);
      CHECK(value.snr_db > 25);
      worst = std::min(worst, value.snr_db);
    }
    CHECK(accuracy->outputs[0].snr_db > 25);
  }
  // Eight bits lose something.
  CHECK(worst < 60);
}

TEST_CASE("what is never negative has twice the steps as u8", "[graph]") {
  double gained = 0;
  int nets = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomNet(seed);
    const std::vector<Sample> samples = RandomSamples(graph, seed, 4);
    const std::vector<double> largest = Calibrated(graph, samples);
    const Quantized narrow = QuantizedOf(graph, largest);
    const Quantized quantized = QuantizedOf(graph, largest, {.unsigned_bytes = true});
    CHECK(quantized.floats.empty());
    CHECK(CountOf(quantized.graph, "relu", ir::Int(8)) == 0);
    CHECK(CountOf(quantized.graph, "cast", ir::UInt(8)) > 0);
    for (size_t i = 0; i < quantized.products.size(); ++i) {
      CHECK(quantized.products[i].scale <= narrow.products[i].scale);
    }
    const Accuracy before = *MeasureAccuracy(graph, narrow, samples);
    const Accuracy after = *MeasureAccuracy(graph, quantized, samples);
    CHECK(after.outputs[0].snr_db > 25);
    gained += after.outputs[0].snr_db - before.outputs[0].snr_db;
    ++nets;
    const absl::StatusOr<Plan> plan = MakePlan(*RunPasses(quantized.graph, StandardPasses()));
    REQUIRE(plan.ok());
    if (seed <= 2) CheckTasks(*plan, 2, true);
  }
  CAPTURE(gained, nets);
  CHECK(gained / nets > 1);  // dB
}

TEST_CASE("sums of unsigned bytes fit 32 bits", "[graph]") {
  // 40,000 products of up to 255 · 127 beside a bias of 2³⁰: only signed ones do.
  Net net(2);
  const int x = net.Add("relu", {net.Input({1, 40000})});
  const int moved = net.Add("reshape", {x}, {{"shape", List{1, 40000}}});
  const Graph graph = net.Finish(net.Dense(moved, 2));
  const std::vector<double> largest(graph.nodes.size(), 1);
  const Quantized quantized = QuantizedOf(graph, largest, {.unsigned_bytes = true});
  CHECK(quantized.floats.empty());
  CHECK(CountOf(quantized.graph, "cast", ir::UInt(8)) == 0);
}

TEST_CASE("transposed convolutions take unsigned bytes, products of two values one of them",
          "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput a: f32[3,4]\ninput b: f32[4,5]\ninput x: f32[1,2,3,3]\n"
      "const w: f32[2,2,2,2] = [0.5,-0.25,1,0.125,0.5,-0.5,0.75,-1,0.25,0.5,-0.5,1,"
      "0.5,-0.25,1,0.125]\n"
      "p = relu(a): f32[3,4]\nq = relu(b): f32[4,5]\nm = matmul(p, q): f32[3,5]\n"
      "r = relu(x): f32[1,2,3,3]\nt = conv_transpose(r, w): f32[1,2,4,4]\noutput m\noutput t\n");
  const std::vector<Sample> samples = RandomSamples(graph, 2, 4);
  const Quantized quantized =
      QuantizedOf(graph, Calibrated(graph, samples), {.unsigned_bytes = true});
  CHECK(quantized.floats.empty());
  int products = 0;
  for (const Node& node : quantized.graph.nodes) {
    if (node.op != "matmul" && node.op != "conv_transpose") continue;
    ++products;
    CHECK(quantized.graph.operand(node, 0).type.element == ir::UInt(8));
    CHECK(quantized.graph.operand(node, 1).type.element == ir::Int(8));
  }
  CHECK(products == 2);
  const Accuracy accuracy = *MeasureAccuracy(graph, quantized, samples);
  for (const ValueError& output : accuracy.outputs) CHECK(output.snr_db > 30);
}

TEST_CASE("kernels of quantised nets are tasks that default schedules compute", "[graph]") {
  for (const uint64_t seed : {3, 8}) {
    CAPTURE(seed);
    const Graph graph = RandomNet(seed);
    const std::vector<Sample> samples = RandomSamples(graph, seed, 1);
    const Quantized quantized = QuantizedOf(graph, Calibrated(graph, samples));
    const absl::StatusOr<Graph> passed = RunPasses(quantized.graph, StandardPasses());
    REQUIRE(passed.ok());
    const absl::StatusOr<Plan> plan = MakePlan(*passed);
    REQUIRE(plan.ok());
    CheckTasks(*plan, 2, true);
  }
}

TEST_CASE("layers of one shape stay one task, whatever their scales", "[graph]") {
  Net net(4);
  int x = net.Input({1, 4, 6, 6});
  for (int i = 0; i < 4; ++i) x = net.Add("relu", {net.Conv(x, 4, 3, 1)});
  const Graph graph = net.Finish(net.Conv(x, 4, 3, 1));
  const std::vector<Sample> samples = RandomSamples(graph, 1, 1);
  const Plan plan = *MakePlan(QuantizedOf(graph, Calibrated(graph, samples)).graph);
  // Of the input, of four layers, of the last one.
  CHECK(plan.tasks.size() == 3);
  CHECK(plan.steps.size() == 6);
}

TEST_CASE("quantised products fit the instructions for dot products", "[graph]") {
  Net net(8);
  int x = net.Add("relu", {net.Conv(net.Input({1, 16, 6, 6}), 16, 3, 1)});
  x = net.Add("reduce_mean", {net.Conv(x, 32, 1, 1)}, {{"axes", List{2, 3}}, {"keep", int64_t{0}}});
  const Graph graph = net.Finish(net.Dense(x, 32));
  const std::vector<Sample> samples = RandomSamples(graph, 1, 1);
  const Plan plan = *MakePlan(QuantizedOf(graph, Calibrated(graph, samples)).graph);
  int products = 0;
  for (const Task& task : plan.tasks) {
    if (!HasProduct(task.workload)) continue;
    ++products;
    INFO(te::Print(task.workload));
    for (const char* target : {"x86/avx512,vnni", "x86/avx2", "aarch64/neon,dotprod"}) {
      CAPTURE(target);
      const auto space = space::BuildSpace(task.workload, *ir::ParseTarget(target), 1);
      REQUIRE(space.ok());
      CHECK(std::ranges::any_of(space->sketches(), [](const space::Sketch& sketch) {
        return sketch.name.find("tensor") == 0;
      }));
    }
  }
  CHECK(products == 3);
}

TEST_CASE("padding, pools and moves stay in integers", "[graph]") {
  Net net(6);
  int x = net.Conv(net.Input({1, 4, 6, 6}), 4, 3, 1);
  x = net.Add("max_pool", {x}, {{"kernel", List{2, 2}}});
  x = net.Add("pad", {x}, {{"before", List{0, 0, 1, 0}}, {"behind", List{0, 0, 0, 0}}});
  x = net.Add("transpose", {x}, {{"order", List{0, 1, 3, 2}}});
  x = net.Add("clip", {x}, {{"min", -0.5}, {"max", 0.75}});
  const Graph graph = net.Finish(net.Conv(x, 4, 3, 1));
  const std::vector<Sample> samples = RandomSamples(graph, 1, 2);
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, samples));
  for (const char* op : {"max_pool", "pad", "transpose", "clip"}) {
    CAPTURE(op);
    CHECK(CountOf(quantized.graph, op, ir::Int(8)) == 1);
    CHECK(CountOf(quantized.graph, op, ir::Float(32)) == 0);
  }
  CHECK(MeasureAccuracy(graph, quantized, samples)->outputs[0].snr_db > 25);
}

TEST_CASE("products of computed values, and of groups, are quantised, too", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput a: f32[2,3,4]\ninput b: f32[2,5,4]\ninput x: f32[1,2,2,5]\n"
      "input k: f32[1,2,1,1]\n"
      "const w: f32[2,2,2,1] = [1,-0.5,0.25,2,0.01,0.02,-0.01,0.005]\n"
      "p = matmul(a, b) transpose_b=1: f32[2,3,5]\ns = softmax(p): f32[2,3,5]\n"
      "q = matmul(s, b): f32[2,3,4]\n"
      "c = conv(x, w) grouped=1: f32[1,2,2,5]\nd = conv(x, k): f32[1,1,2,5]\n"
      "output q\noutput c\noutput d\n");
  const std::vector<Sample> samples = RandomSamples(graph, 2, 4);
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, samples));
  CHECK(quantized.products.size() == 3);
  CHECK(quantized.floats == std::vector<std::string>{"d"});  // its weights are an input
  const Accuracy accuracy = *MeasureAccuracy(graph, quantized, samples);
  for (const ValueError& output : accuracy.outputs) {
    CAPTURE(output.name);
    CHECK(output.snr_db > 30);
  }
  CHECK(std::isinf(accuracy.outputs[2].snr_db));
  CHECK(accuracy.outputs[2].same_largest == 1);
}

TEST_CASE("channels of tiny weights keep their bias", "[graph]") {
  // As a batch norm leaves a channel that training has given up.
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,1,2,5]\nconst w: f32[3,1,1,1] = [1e-7,0.5,0]\n"
      "const b: f32[3] = [0.3,0.25,-2000]\nc = conv(x, w, b): f32[1,3,2,5]\noutput c\n");
  std::vector<double> image;
  for (int i = 0; i < 10; ++i) image.push_back(2.54 - 0.5 * i);
  const Sample sample{MakeTensor(ir::Float(32), {1, 1, 2, 5}, image)};
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, {sample}));
  CHECK(quantized.floats.empty());
  const std::vector<double> made = Outputs(quantized.graph, sample)[0];
  REQUIRE(made.size() == 30);
  for (size_t i = 0; i < 10; ++i) {
    CHECK(made[i] == Approx(0.3).epsilon(1e-5));
    CHECK(made[10 + i] == Approx(0.25 + 0.5 * image[i]).margin(0.01));
    CHECK(made[20 + i] == Approx(-2000).epsilon(1e-5));
  }
}

TEST_CASE("scales whose product would underflow are no division by zero", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,2]\nconst w: f32[2,3] = [1e-30,2e-30,1,0,1e-30,1]\n"
      "const b: f32[3] = [0,0.5,0]\np = matmul(x, w, b): f32[1,3]\noutput p\n");
  const Sample sample{MakeTensor(ir::Float(32), {1, 2}, {1e-20, -1e-20})};
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, {sample}));
  const auto bias = std::ranges::find(quantized.graph.nodes, "b_i32", &Node::name);
  REQUIRE(bias != quantized.graph.nodes.end());
  CHECK(bias->constant->At(0) == 0);
  const std::vector<double> made = Outputs(quantized.graph, sample)[0];
  CHECK(made[0] == 0);
  CHECK(made[1] == Approx(0.5).epsilon(1e-5));
  CHECK(std::abs(made[2]) < 1e-21);
}

TEST_CASE("a bias that i32 can't hold beside two computed operands is added in floats", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput a: f32[2,2]\ninput b: f32[2,2]\nconst c: f32[2] = [0.5,0]\n"
      "const w: f32[2,2] = [1,-1,0.5,2]\n"
      "p = matmul(a, b, c): f32[2,2]\nq = matmul(p, w): f32[2,2]\noutput q\noutput p\n");
  const Sample sample{MakeTensor(ir::Float(32), {2, 2}, {1e-5, 2e-5, -1e-5, 0}),
                      MakeTensor(ir::Float(32), {2, 2}, {1e-5, 1e-5, -1e-5, 2e-5})};
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, {sample}));
  CHECK(quantized.products.size() == 2);
  const auto expected = Outputs(graph, sample), made = Outputs(quantized.graph, sample);
  for (size_t output = 0; output < 2; ++output) {
    for (size_t i = 0; i < 4; ++i)
      CHECK(made[output][i] == Approx(expected[output][i]).margin(0.01));
  }
  CheckTasks(*MakePlan(*RunPasses(quantized.graph, StandardPasses())), 2, true);
}

TEST_CASE("outputs that products take as i8 come out as floats", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[2,3]\nconst w: f32[3,3] = [1,2,3,-1,0.5,0.25,2,0,1]\n"
      "const v: f32[3,2] = [1,-1,0.5,2,0.1,0.2]\np = matmul(x, w): f32[2,3]\n"
      "r = relu(p): f32[2,3]\nt = transpose(r) order=[1,0]: f32[3,2]\n"
      "q = matmul(r, v): f32[2,2]\noutput r\noutput x\noutput t\noutput q\noutput r\n");
  const std::vector<Sample> samples = RandomSamples(graph, 4, 6);
  const Quantized quantized = QuantizedOf(graph, Calibrated(graph, samples));
  CHECK(quantized.products.size() == 2);
  const Accuracy accuracy = *MeasureAccuracy(graph, quantized, samples);
  REQUIRE(accuracy.outputs.size() == 5);
  for (const ValueError& output : accuracy.outputs) {
    CAPTURE(output.name, output.snr_db);
    CHECK(output.snr_db > 30);
  }
  CHECK(std::isinf(accuracy.outputs[1].snr_db));
}

TEST_CASE("products can be exempt", "[graph]") {
  Net net(5);
  int x = net.Input({1, 4, 6, 6});
  for (int i = 0; i < 3; ++i) x = net.Add("relu", {net.Conv(x, 4, 3, 1)});
  const Graph graph = net.Finish(x);
  const std::vector<double> largest = Calibrated(graph, RandomSamples(graph, 1, 1));
  const auto floats = [&](const QuantizeOptions& options) {
    return QuantizedOf(graph, largest, options).floats;
  };
  using Names = std::vector<std::string>;
  CHECK(floats({}).empty());
  CHECK(floats({.first = false}) == Names{"conv"});
  CHECK(floats({.last = false}) == Names{"conv_2"});
  CHECK(floats({.first = false, .last = false, .keep = {"conv_1"}}) ==
        Names{"conv", "conv_1", "conv_2"});
  CHECK(Quantize(graph, largest, {.keep = {"relu"}}).status().message().find("\"relu\" is no") !=
        std::string::npos);
  CHECK(!NodesToWatch(graph, {.keep = {"relu"}}).ok());
  CHECK(!Quantize(graph, absl::MakeSpan(largest).subspan(1)).ok());
  // Nothing is left to do.
  const Graph same = QuantizedOf(graph, largest, {.keep = {"conv", "conv_1", "conv_2"}}).graph;
  CHECK(Print(same) == Print(graph));
}

TEST_CASE("ranges are the largest magnitudes, or leave out what is rare", "[graph]") {
  const Graph graph = Parsed("graph g\ninput x: f32[1000]\nz = relu(x): f32[1000]\noutput z\n");
  std::vector<double> values(1000, 0.0);
  std::mt19937_64 random(7);
  std::normal_distribution<double> bell;
  for (size_t i = 0; i < 999; ++i) values[i] = -std::abs(bell(random));
  values[999] = -50;
  const std::vector<Sample> samples{{MakeTensor(ir::Float(32), {1000}, values)}};
  CHECK(Calibrated(graph, samples, {RangeMethod::kLargest}) == std::vector<double>{50, 0});
  const double most = Calibrated(graph, samples, {RangeMethod::kPercentile, 99.5})[0];
  CHECK(most > 2);
  CHECK(most < 4);
  CHECK(Calibrated(graph, samples, {RangeMethod::kPercentile, 100})[0] == Approx(50));
  const double entropy = Calibrated(graph, samples, {RangeMethod::kEntropy})[0];
  CHECK(entropy > 2);
  CHECK(entropy < 10);
  // Of what is asked for alone.
  CHECK(Calibrated(graph, samples, {RangeMethod::kLargest, 100, std::vector<int>{1}}) ==
        std::vector<double>{0, 0});
  CHECK(Calibrated(graph, samples, {RangeMethod::kLargest, 100, std::vector<int>{0}}) ==
        std::vector<double>{50, 0});
  // Later samples widen what earlier ones began.
  std::vector<Sample> more = samples;
  more.push_back({MakeTensor(ir::Float(32), {1000}, std::vector<double>(1000, 300.0))});
  CHECK(Calibrated(graph, more, {RangeMethod::kLargest}) == std::vector<double>{300, 300});
  CHECK(Calibrated(graph, more, {RangeMethod::kPercentile, 49})[0] < 4.5);
  CHECK(Calibrated(graph, more, {RangeMethod::kPercentile, 60})[0] == Approx(300));
}

TEST_CASE("calibration says what it can't take", "[graph]") {
  const Graph graph = Parsed("graph g\ninput x: f32[2]\nr = reciprocal(x): f32[2]\noutput r\n");
  const auto refusal = [&](const std::vector<Sample>& samples, CalibrationOptions options = {}) {
    return std::string(Calibrate(graph, samples, options).status().message());
  };
  CHECK(refusal({}).find("no samples") != std::string::npos);
  CHECK(refusal({{MakeTensor(ir::Float(32), {2}, {1, 0})}}).find("r is inf at element 1") !=
        std::string::npos);
  CHECK(refusal({{MakeTensor(ir::Float(32), {1}, {1})}}).find("x has to be f32[2]") !=
        std::string::npos);
  CHECK(refusal({{MakeTensor(ir::Float(32), {2}, {1, 2})}}, {RangeMethod::kPercentile, 0})
            .find("percentile is 0") != std::string::npos);
}

}  // namespace tessera::graph
