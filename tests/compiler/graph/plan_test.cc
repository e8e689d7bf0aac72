#include "compiler/graph/plan.h"

#include <random>

#include "compiler/graph/memory_plan.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/graph/run_plan.h"

namespace tessera::graph {
namespace {

Plan Planned(const Graph& graph) {
  const absl::StatusOr<Plan> plan = MakePlan(graph);
  INFO(plan.status().ToString());
  REQUIRE(plan.ok());
  return *plan;
}

// Chains, diamonds, parts and long lives of vectors.
Graph RandomGraph(std::mt19937_64& random) {
  GraphBuilder builder("random");
  std::vector<int> nodes{*builder.Input("x", {ir::Float(32), {4, 16}, {}}),
                         *builder.Input("y", {ir::Float(32), {4, 16}, {}})};
  const auto any = [&] {
    return nodes[nodes.size() - 1 - random() % std::min<size_t>(nodes.size(), 6)];
  };
  for (int i = 0; i < 14; ++i) {
    const int a = any(), b = any();
    absl::StatusOr<int> made;
    switch (random() % 7) {
      case 0:
        made = builder.Add("add", {a, b});
        break;
      case 1:
        made = builder.Add("tanh", {a});
        break;
      case 2:
        made = builder.Add("softmax", {a});
        break;
      case 3:
        made = builder.Add("reshape", {a}, {{"shape", std::vector<int64_t>{64}}});
        made = builder.Add("reshape", {*made}, {{"shape", std::vector<int64_t>{4, 16}}});
        break;
      case 4:
        made = builder.Add("reduce_max", {a}, {{"axes", std::vector<int64_t>{1}}});
        made = builder.Add("sub", {b, *made});
        break;
      case 5: {  // two rows of each
        const auto row = static_cast<int64_t>(random() % 3);
        const Attributes of{{"starts", std::vector<int64_t>{row, 0}},
                            {"steps", std::vector<int64_t>{1, 1}},
                            {"shape", std::vector<int64_t>{2, 16}}};
        std::vector<int> parts;
        for (const int whole : {a, b}) {
          parts.push_back(*builder.Add("slice", {whole}, of));
          if (random() % 2 == 0) parts.back() = *builder.Add("softmax", {parts.back()});
        }
        made = builder.Add("concat", parts, {{"axis", int64_t{0}}});
        break;
      }
      default:
        made = builder.Add("relu", {a});
        break;
    }
    REQUIRE(made.ok());
    nodes.push_back(*made);
  }
  return std::move(builder).Finish({nodes.back(), any(), any()});
}

}  // namespace

TEST_CASE("plans compute what graphs do", "[graph]") {
  const uint64_t seed = 7;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 60; ++i) {
    const Graph graph = RandomGraph(random);
    INFO(Print(graph));
    const Plan plan = Planned(graph);
    REQUIRE(Verify(plan.graph).ok());
    CHECK(plan.arena_bytes >= plan.least_arena_bytes);
    const std::vector<TensorRef> inputs = SomeInputs(graph, seed + static_cast<uint64_t>(i));
    const auto expected = Outputs(graph, inputs), actual = RunPlan(plan, inputs);
    for (size_t o = 0; o < expected.size(); ++o) {
      for (size_t e = 0; e < expected[o].size(); ++e) {
        CAPTURE(o, e);
        CHECK(actual[o][e] == Approx(expected[o][e]).margin(1e-5));
      }
    }
  }
}

TEST_CASE("equal kernels are one task", "[graph]") {
  const Plan plan =
      Planned(Parsed("graph g\ninput x: f32[1,2,4,4]\nconst a: f32[2,2,1,1] = [1,2,3,4]\n"
                     "const b: f32[2,2,1,1] = [4,3,2,1]\nconst c: f32[2,2,1,1] = [0,1,1,0]\n"
                     "one = conv(x, a): f32[1,2,4,4]\nr = relu(one): f32[1,2,4,4]\n"
                     "two = conv(r, b): f32[1,2,4,4]\ns = relu(two): f32[1,2,4,4]\n"
                     "three = conv(s, c): f32[1,2,4,4]\noutput three\n"));
  REQUIRE(plan.tasks.size() == 2);
  CHECK(plan.tasks[0].steps == 2);
  CHECK(plan.tasks[0].workload.name == "r");
  CHECK(plan.tasks[1].steps == 1);
  CHECK(plan.steps.size() == 3);
  // One value of 128 bytes is alive while the other is made; the last is the caller's.
  CHECK(plan.arena_bytes == 256);
  CHECK(plan.least_arena_bytes == 256);
}

TEST_CASE("tasks have names that workloads may have, once each", "[graph]") {
  const std::string longest(200, 'L');
  const absl::StatusOr<Plan> plan = MakePlan(Parsed(
      "graph g\ninput x: f32[8]\ninput y: f32[4,2]\nRelu_1 = relu(x): f32[8]\n"
      "relu_1 = relu(y): f32[4,2]\n" +
      longest + " = tanh(x): f32[8]\noutput Relu_1\noutput relu_1\noutput " + longest + "\n"));
  REQUIRE(plan.ok());
  REQUIRE(plan->tasks.size() == 3);
  CHECK(plan->tasks[0].workload.name == "relu_1");
  CHECK(plan->tasks[1].workload.name == "relu_1_2");
  for (const Task& task : plan->tasks) CHECK(te::ParseWorkload(te::Print(task.workload)).ok());
}

TEST_CASE("outputs have memory of their own", "[graph]") {
  const Plan plan = Planned(
      Parsed("graph g\ninput x: f32[2]\nconst c: f32[2] = [1,2]\na = neg(x): f32[2]\n"
             "b = reshape(a) shape=[1,2]: f32[1,2]\noutput x\noutput c\noutput b\noutput a\n"));
  const auto values = RunPlan(plan, {MakeTensor(ir::Float(32), {2}, {5, 6})});
  CHECK(values == std::vector<std::vector<double>>{{5, 6}, {1, 2}, {-5, -6}, {-5, -6}});
}

TEST_CASE("views of constants are constants", "[graph]") {
  const Plan plan = Planned(
      Parsed("graph g\ninput x: f32[2,2]\nconst c: f32[4] = [1,2,3,4]\n"
             "v = reshape(c) shape=[2,2]: f32[2,2]\nw = reshape(v) shape=[1,2,2]: f32[1,2,2]\n"
             "s = add(x, w): f32[1,2,2]\noutput s\n"));
  REQUIRE(plan.steps.size() == 1);
  const std::vector<te::Input>& inputs = plan.tasks[0].workload.dag.inputs;
  CHECK(std::ranges::count(inputs, true, &te::Input::is_constant) == 1);
  CHECK(RunPlan(plan, {MakeTensor(ir::Float(32), {2, 2}, {10, 20, 30, 40})}) ==
        std::vector<std::vector<double>>{{11, 22, 33, 44}});
}

TEST_CASE("values have the room that their layout takes", "[graph]") {
  const Plan plan = Planned(
      Parsed("graph g\ninput x: f32[1,4,3]\na = softmax(x): f32[1,4,3] layout(0 1/16 2 1%16)\n"
             "b = softmax(a): f32[1,4,3]\noutput b\n"));
  CHECK(plan.arena_bytes == 16 * 3 * 4);
}

TEST_CASE("operands that known numbers leave unread are none of the kernel's", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: u8[3]\ninput y: u8[3]\nconst one: u8[] = [1]\na = relu(x): u8[3]\n"
      "b = or(a, one): u8[3]\nc = and(b, y): u8[3]\noutput c\n");
  const Plan plan = Planned(graph);
  REQUIRE(plan.steps.size() == 1);
  CHECK(plan.steps[0].operands.size() == 1);
  const std::vector<TensorRef> inputs{MakeTensor(ir::UInt(8), {3}, {0, 1, 2}),
                                      MakeTensor(ir::UInt(8), {3}, {0, 1, 2})};
  CHECK(RunPlan(plan, inputs) == Outputs(graph, inputs));
}

TEST_CASE("what lives at once never shares memory", "[graph]") {
  const uint64_t seed = 3;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200; ++i) {
    std::vector<Lifetime> lifetimes;
    for (uint64_t n = random() % 40 + 1; n > 0; --n) {
      const int first = static_cast<int>(random() % 30);
      lifetimes.push_back({static_cast<int64_t>(random() % 1000 + 1), first,
                           first + static_cast<int>(random() % 8)});
    }
    const MemoryPlan plan = PlanMemory(lifetimes, 64);
    for (size_t a = 0; a < lifetimes.size(); ++a) {
      CHECK(plan.offsets[a] % 64 == 0);
      CHECK(plan.offsets[a] + lifetimes[a].bytes <= plan.arena_bytes);
      for (size_t b = 0; b < a; ++b) {
        const bool meet =
            lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
        const bool overlap = plan.offsets[a] < plan.offsets[b] + lifetimes[b].bytes &&
                             plan.offsets[b] < plan.offsets[a] + lifetimes[a].bytes;
        if (meet && overlap) FAIL_CHECK("values " << a << " and " << b << " share memory");
      }
    }
    CHECK(plan.arena_bytes >= plan.least_bytes);
  }
}

}  // namespace tessera::graph
