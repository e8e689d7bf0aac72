#include "compiler/graph/layouts.h"

#include "compiler/graph/quantize.h"
#include "tests/compiler/graph/random_net.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/graph/run_plan.h"

namespace tessera::graph {
namespace {

ir::Target Sse() { return ir::X86Target("sse4.2").value(); }  // blocks of four

Graph Chosen(const Graph& graph, const ir::Target& target, const KnownSeconds& known = nullptr) {
  const absl::StatusOr<Graph> chosen = ChooseLayouts(graph, target, known);
  INFO(chosen.status().ToString());
  REQUIRE(chosen.ok());
  REQUIRE(Verify(*chosen).ok());
  return *chosen;
}

Plan Planned(const Graph& graph, const ir::Target& target, const KnownSeconds& known = nullptr) {
  const absl::StatusOr<Plan> plan = PlanModel(graph, target, known);
  INFO(plan.status().ToString());
  REQUIRE(plan.ok());
  return *plan;
}

// The layout of a node as text, "rows" where it has none.
std::string LayoutOf(const Graph& graph, std::string_view name) {
  const auto node = std::ranges::find(graph.nodes, name, &Node::name);
  REQUIRE(node != graph.nodes.end());
  if (node->type.layout.empty()) return "rows";
  return ir::LayoutToString(node->type.layout, node->type.shape);
}

int CountBlocked(const Graph& graph) {
  return static_cast<int>(std::ranges::count_if(
      graph.nodes, [](const Node& node) { return !node.type.layout.empty(); }));
}

// Seconds that say nothing but which values are in blocks, the same for the same workload.
KnownSeconds RandomSeconds(uint64_t seed) {
  return [seed](const te::Workload& workload) -> std::optional<double> {
    std::mt19937_64 random(te::StructuralHash(workload.dag) ^ seed);
    return 1 + static_cast<double>(random() % 1000) / 1000;
  };
}

double SecondsOf(const Plan& plan, const KnownSeconds& known) {
  double seconds = 0;
  for (const Task& task : plan.tasks) seconds += task.steps * *known(task.workload);
  return seconds;
}

// image → stem → body (a residual block) → pool → head (flattened, multiplied).
Graph SmallNet() {
  GraphBuilder builder("net");
  using Ints = std::vector<int64_t>;
  const auto weights = [&](Ints shape) {
    return *builder.Constant("w", SomeTensor(std::move(shape), 1));
  };
  const Attributes padded{{"before", Ints{1, 1}}, {"behind", Ints{1, 1}}};
  const int image = *builder.Input("image", {ir::Float(32), {1, 3, 16, 16}, {}});
  int x = *builder.Add("conv", {image, weights({32, 3, 3, 3}), weights({32})}, padded, "stem");
  x = *builder.Add("relu", {x}, {}, "stem_relu");
  const int wide = *builder.Add("depthwise_conv", {x, weights({32, 3, 3})}, padded, "wide");
  const int mid = *builder.Add("conv", {wide, weights({32, 32, 1, 1})}, {}, "mid");
  const int sum = *builder.Add("add", {mid, x}, {}, "sum");
  const int pool = *builder.Add("max_pool", {sum}, {{"kernel", Ints{2, 2}}}, "pool");
  const int last = *builder.Add("conv", {pool, weights({64, 32, 3, 3})}, padded, "last");
  const int mean = *builder.Add("reduce_mean", {last}, {{"axes", Ints{2, 3}}}, "mean");
  const int flat = *builder.Add("reshape", {mean}, {{"shape", Ints{1, 64}}}, "flat");
  const int head = *builder.Add("matmul", {flat, weights({64, 10})}, {}, "head");
  return std::move(builder).Finish({head});
}

}  // namespace

TEST_CASE("values between convolutions and windows are in blocks of channels", "[graph]") {
  const Graph chosen = Chosen(SmallNet(), ir::X86Target("avx512").value());
  CHECK(LayoutOf(chosen, "image") == "rows");
  for (const char* name : {"stem_relu", "wide", "sum", "pool", "last"}) {
    CAPTURE(name);
    CHECK(LayoutOf(chosen, name) == "0 1/16 2 3 1%16");
  }
  // Within a kernel nothing is stored; the others have the same bytes in both.
  for (const char* name : {"stem", "mid", "mean", "flat", "head"}) {
    CHECK(LayoutOf(chosen, name) == "rows");
  }
  CHECK(LayoutOf(Chosen(SmallNet(), ir::X86Target("avx2").value()), "wide") == "0 1/8 2 3 1%8");
}

TEST_CASE("values of bytes are in blocks as those of floats are", "[graph]") {
  const Graph net = SmallNet();
  const absl::StatusOr<Quantized> narrow = Quantize(net, std::vector<double>(net.nodes.size(), 1));
  REQUIRE(narrow.ok());
  const Graph chosen = Chosen(narrow->graph, ir::X86Target("avx512").value());
  int blocked = 0;
  for (const Node& node : chosen.nodes) {
    if (node.type.layout.empty()) continue;
    CHECK(node.type.element == ir::Int(8));
    ++blocked;
  }
  CHECK(blocked >= 4);
  CHECK(LayoutOf(chosen, "pool_i8") == "0 1/16 2 3 1%16");
}

TEST_CASE("flattening behind the last mean costs no copy", "[graph]") {
  const Plan plan = Planned(SmallNet(), ir::X86Target("avx512").value());
  for (const Step& step : plan.steps) CHECK(plan.graph.nodes[step.result].name != "flat");
  CHECK(plan.steps.size() ==
        Planned(SmallNet(), ir::ParseTarget("cuda/sm_80").value()).steps.size());
}

TEST_CASE("values stay row-major where blocks don't pay", "[graph]") {
  const ir::Target target = Sse();
  // Nothing gains, and the reshapes would be copies.
  CHECK(CountBlocked(Chosen(Parsed("graph g\ninput x: f32[1,8,4,4]\na = relu(x): f32[1,8,4,4]\n"
                                   "b = reshape(a) shape=[1,2,4,4,4]: f32[1,2,4,4,4]\n"
                                   "c = transpose(b) order=[0,2,1,3,4]: f32[1,4,2,4,4]\n"
                                   "d = softmax(c) axis=-1: f32[1,4,2,4,4]\noutput d\noutput a\n"),
                            target)) == 0);
  // Three channels are no block.
  CHECK(CountBlocked(Chosen(
            Parsed("graph g\ninput x: f32[1,3,4,4]\na = max_pool(x) kernel=[2,2]: f32[1,3,3,3]\n"
                   "b = max_pool(a) kernel=[2,2]: f32[1,3,2,2]\noutput b\n"),
            target)) == 0);
  for (const char* other : {"cuda/sm_80", "opencl/fp16"}) {
    CHECK(CountBlocked(Chosen(SmallNet(), ir::ParseTarget(other).value())) == 0);
  }
}

TEST_CASE("layouts follow what is known of kernels", "[graph]") {
  const ir::Target target = ir::X86Target("avx512").value();
  int asked = 0;
  const auto costs = [&](double blocked) -> KnownSeconds {
    return [&asked, blocked](const te::Workload& workload) -> std::optional<double> {
      ++asked;
      double seconds = 1;
      if (!workload.dag.outputs[0]->layout.empty()) seconds *= blocked;
      for (const te::Input& input : workload.dag.inputs) {
        if (!input.is_constant && !input.buffer->layout.empty()) seconds *= blocked;
      }
      return seconds;
    };
  };
  CHECK(CountBlocked(Chosen(SmallNet(), target, costs(1.01))) == 0);
  CHECK(asked > 0);
  CHECK(CountBlocked(Chosen(SmallNet(), target, costs(0.99))) == 5);
  // The pool alone is known, and is so slow to write blocks that the others' gain is nothing.
  const Graph chosen =
      Chosen(SmallNet(), target, [](const te::Workload& workload) -> std::optional<double> {
        if (workload.name != "pool") return std::nullopt;
        return workload.dag.outputs[0]->layout.empty() ? 1e-6 : 1;
      });
  CHECK(LayoutOf(chosen, "pool") == "rows");
  CHECK(LayoutOf(chosen, "wide") != "rows");
}

TEST_CASE("values change together where none of them would alone", "[graph]") {
  // Three windows one behind the other: what reads another layout than it writes takes long.
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,8,9,9]\na = max_pool(x) kernel=[2,2]: f32[1,8,8,8]\n"
      "b = max_pool(a) kernel=[2,2]: f32[1,8,7,7]\nc = max_pool(b) kernel=[2,2]: f32[1,8,6,6]\n"
      "d = max_pool(c) kernel=[2,2]: f32[1,8,5,5]\noutput d\n");
  const auto costs = [](double rows) -> KnownSeconds {
    return [rows](const te::Workload& workload) {
      const bool reads = !workload.dag.inputs[0].buffer->layout.empty();
      const bool writes = !workload.dag.outputs[0]->layout.empty();
      return std::optional(reads != writes ? 3.0 : writes ? 1.0 : rows);
    };
  };
  // From x to a and from c to d two kernels change layouts: 3 + 1 + 1 + 3 against four of rows.
  CHECK(CountBlocked(Chosen(graph, Sse(), costs(2.5))) == 3);
  CHECK(CountBlocked(Chosen(graph, Sse(), costs(1.5))) == 0);
}

TEST_CASE("what is known of the row-major form scales the estimates of the others", "[graph]") {
  const ir::Target target = ir::X86Target("avx512").value();
  // A stem a thousand times as slow as estimated, row-major, would be as slow in blocks but for
  // what they gain: so they are chosen still.
  const auto slow = [](const te::Workload& workload) -> std::optional<double> {
    const bool is_rows = workload.dag.outputs[0]->layout.empty();
    return workload.name == "stem_relu" && is_rows ? std::optional(1.0) : std::nullopt;
  };
  CHECK(LayoutOf(Chosen(SmallNet(), target, slow), "stem_relu") != "rows");
}

TEST_CASE("plans in layouts compute what graphs do, and cost no more than row-major", "[graph]") {
  const uint64_t seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int blocked = 0, mixed = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    const Graph graph = RandomNet(random, 16);
    INFO(Print(graph));
    const KnownSeconds known = RandomSeconds(i);
    const Plan plan = i % 4 == 0 ? Planned(graph, Sse()) : Planned(graph, Sse(), known);
    REQUIRE(Verify(plan.graph).ok());
    blocked += CountBlocked(plan.graph);
    for (const Task& task : plan.tasks) {
      const bool writes = !task.workload.dag.outputs[0]->layout.empty();
      mixed += std::ranges::any_of(task.workload.dag.inputs, [&](const te::Input& input) {
        return !input.is_constant && input.buffer->layout.empty() == writes;
      });
    }
    if (i % 4 != 0) CHECK(SecondsOf(plan, known) <= SecondsOf(*MakePlan(graph), known) + 1e-9);
    const std::vector<TensorRef> inputs = SomeInputs(graph, seed + i);
    const auto expected = Outputs(graph, inputs), actual = RunPlan(plan, inputs);
    for (size_t o = 0; o < expected.size(); ++o) {
      for (size_t e = 0; e < expected[o].size(); ++e) {
        CAPTURE(o, e);
        CHECK(actual[o][e] == Approx(expected[o][e]).margin(1e-5));
      }
    }
  }
  CHECK(blocked > 40);
  CHECK(mixed > 40);
}

}  // namespace tessera::graph
