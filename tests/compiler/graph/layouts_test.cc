#include "compiler/graph/layouts.h"

#include <map>
#include <set>

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
  CHECK(CountBlocked(Chosen(SmallNet(), target, costs(1.1))) == 0);
  CHECK(asked > 0);
  CHECK(CountBlocked(Chosen(SmallNet(), target, costs(0.9))) == 5);
  // What was measured singly says nothing by a hundredth.
  CHECK(CountBlocked(Chosen(SmallNet(), target, costs(1.01))) == 5);
  // Where the pool writes rows it is clearly faster, and what reads them is known, too.
  bool last_is_known = true;
  const KnownSeconds of_pool = [&](const te::Workload& workload) -> std::optional<double> {
    const bool writes_rows = workload.dag.outputs[0]->layout.empty();
    if (workload.name == "pool") return writes_rows ? 1e-6 : 1e-3;
    if (workload.name == "last" && last_is_known) return 1e-4;
    return std::nullopt;
  };
  const absl::StatusOr<LayoutChoice> choice =
      ChooseLayouts(SmallNet(), target, of_pool, Unmeasured::kTuned);
  REQUIRE(choice.ok());
  CHECK(LayoutOf(choice->graph, "pool") == "rows");
  CHECK(LayoutOf(choice->graph, "wide") != "rows");
  CHECK(choice->values == 5);
  CHECK(choice->blocked == 4);
  CHECK(choice->changed == 1);
  CHECK(choice->seconds == Approx(1e-6 + 1e-4));
  CHECK(choice->estimated_seconds == Approx(1e-3 + 1e-4));
  // Of what reads the rows nothing is known then.
  last_is_known = false;
  CHECK(LayoutOf(Chosen(SmallNet(), target, of_pool), "pool") != "rows");
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

TEST_CASE("a form that is unmeasured is estimated by those that are known", "[graph]") {
  const ir::Target target = ir::X86Target("avx512").value();
  // A stem a thousand times as slow as estimated, row-major, would be as slow in blocks but for
  // what they gain: so they are chosen still, to be tuned.
  const KnownSeconds slow = [](const te::Workload& workload) -> std::optional<double> {
    const bool is_rows = workload.dag.outputs[0]->layout.empty();
    return workload.name == "stem_relu" && is_rows ? std::optional(1.0) : std::nullopt;
  };
  CHECK(LayoutOf(Chosen(SmallNet(), target, slow), "stem_relu") != "rows");
  // Nobody tunes what is built now: the stem has its rows where what reads them is known, too.
  const auto built = [&](const KnownSeconds& known) {
    const auto choice = ChooseLayouts(SmallNet(), target, known, Unmeasured::kAsTheyAre);
    REQUIRE(choice.ok());
    CHECK(choice->estimated_seconds == 0);
    return LayoutOf(choice->graph, "stem_relu");
  };
  CHECK(built([](const te::Workload& workload) {
          bool rows = workload.dag.outputs[0]->layout.empty();
          for (const te::Input& input : workload.dag.inputs) {
            rows = rows && (input.is_constant || input.buffer->layout.empty());
          }
          return rows ? std::optional(1.0) : std::nullopt;
        }) == "rows");
  CHECK(built([](const te::Workload&) { return std::optional<double>(); }) != "rows");
}

TEST_CASE("what is tuned is what is built, and layouts that were measured go first", "[graph]") {
  const uint64_t seed = 19;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  int other = 0, flipped = 0;
  for (uint64_t i = 0; i < 80; ++i) {
    const Graph graph = RandomNet(random, 16);
    INFO(Print(graph));
    // Some forms were measured: with the estimate's choice, or with none of it.
    std::map<uint64_t, double> log;
    const KnownSeconds known = [&](const te::Workload& workload) -> std::optional<double> {
      const auto found = log.find(te::StructuralHash(workload.dag));
      if (found == log.end()) return std::nullopt;
      return found->second;
    };
    const auto measure = [&](const te::Workload& workload, double scale) {
      std::uniform_real_distribution<double> about(0.5, 1.5);
      const uint64_t hash = te::StructuralHash(workload.dag);
      if (!log.contains(hash)) log[hash] = 1e-4 * scale * about(random);
    };
    const Plan estimated = Planned(graph, Sse());
    if (i % 2 == 0) {
      for (const Task& task : estimated.tasks) measure(task.workload, 1);
    }
    const absl::StatusOr<std::vector<RivalLayouts>> rivals = FindRivalLayouts(graph, Sse());
    REQUIRE(rivals.ok());
    for (const RivalLayouts& rival : *rivals) {
      if (random() % 3 == 0) continue;
      for (const te::Workload& kernel : rival.kernels) measure(kernel, 0.7);
      for (const te::Workload& kernel : rival.chosen) measure(kernel, 1);
    }
    // What is chosen to be tuned is tuned, which finds faster programs.
    const Plan tuned = Planned(graph, Sse(), known);
    for (const Task& task : tuned.tasks) {
      measure(task.workload, 1);
      log[te::StructuralHash(task.workload.dag)] *= 0.8;
    }
    const auto built = ChooseLayouts(graph, Sse(), known, Unmeasured::kAsTheyAre);
    REQUIRE(built.ok());
    const absl::StatusOr<Plan> plan = MakePlan(built->graph);
    REQUIRE(plan.ok());
    double seconds = 0;
    for (const Task& task : plan->tasks) {
      CAPTURE(task.workload.name);
      REQUIRE(known(task.workload).has_value());
      seconds += task.steps * *known(task.workload);
    }
    CHECK(seconds <= SecondsOf(tuned, known) * (1 + 1e-9));
    other += CountBlocked(tuned.graph) != CountBlocked(estimated.graph);
    flipped += built->changed > 0;
    CHECK(CountBlocked(Chosen(graph, Sse(), known)) == CountBlocked(built->graph));
  }
  CHECK(other > 20);
  CHECK(flipped >= other);
}

TEST_CASE("a concatenation that nobody computes is not unmeasured", "[graph]") {
  GraphBuilder builder("net");
  using Ints = std::vector<int64_t>;
  const Attributes padded{{"before", Ints{1, 1}}, {"behind", Ints{1, 1}}};
  const auto convolved = [&](int x, const char* name) {
    const int64_t channels = builder.type(x).shape[1];
    const int w = *builder.Constant("w", SomeTensor({16, channels, 3, 3}, 1));
    return *builder.Add("conv", {x, w}, padded, name);
  };
  const int image = *builder.Input("image", {ir::Float(32), {1, 8, 16, 16}, {}});
  const int a = convolved(image, "a"), b = convolved(image, "b");
  const int both = *builder.Add("concat", {a, b}, {{"axis", int64_t{1}}}, "both");
  const int last = convolved(both, "last");
  const int mean = *builder.Add("reduce_mean", {last}, {{"axes", Ints{2, 3}}}, "mean");
  const Graph graph = std::move(builder).Finish({mean});

  const Plan estimated = Planned(graph, Sse());
  REQUIRE(CountBlocked(estimated.graph) == 4);
  // a and b are computed where they belong.
  for (const Task& task : estimated.tasks) CHECK(task.workload.name != "both");
  // All kernels are known in all forms; so are concatenations elsewhere that move what they are of.
  int asked = 0;
  const auto choice = ChooseLayouts(
      graph, Sse(),
      [&](const te::Workload& workload) -> std::optional<double> {
        if (workload.name != "both") return 1e-3;
        ++asked;
        const bool writes = !workload.dag.outputs[0]->layout.empty();
        const bool moves = std::ranges::any_of(workload.dag.inputs, [&](const te::Input& input) {
          return input.buffer->layout.empty() == writes;
        });
        return moves ? std::optional(1e-5) : std::nullopt;
      },
      Unmeasured::kAsTheyAre);
  REQUIRE(choice.ok());
  CHECK(asked > 0);
  CHECK(choice->changed == 0);
  CHECK(choice->blocked == 4);
}

TEST_CASE("rival layouts are those that decide most", "[graph]") {
  const ir::Target target = ir::X86Target("avx512").value();
  const absl::StatusOr<std::vector<RivalLayouts>> rivals = FindRivalLayouts(SmallNet(), target);
  REQUIRE(rivals.ok());
  REQUIRE(!rivals->empty());
  double before = rivals->front().stake_seconds;
  for (const RivalLayouts& rival : *rivals) {
    CHECK(rival.stake_seconds > 0);
    CHECK(rival.stake_seconds <= before);
    before = rival.stake_seconds;
    std::set<uint64_t> chosen;
    for (const te::Workload& kernel : rival.chosen) chosen.insert(te::StructuralHash(kernel.dag));
    for (const te::Workload& kernel : rival.kernels) {
      CHECK(!chosen.contains(te::StructuralHash(kernel.dag)));
    }
  }
  // Layouts change where the first rival is measured and clearly faster, and only there.
  std::map<uint64_t, double> log;
  for (const te::Workload& kernel : rivals->front().chosen) {
    log[te::StructuralHash(kernel.dag)] = 1;
  }
  for (const te::Workload& kernel : rivals->front().kernels) {
    log[te::StructuralHash(kernel.dag)] = 0.8;
  }
  const KnownSeconds known = [&](const te::Workload& workload) -> std::optional<double> {
    const auto found = log.find(te::StructuralHash(workload.dag));
    return found == log.end() ? std::nullopt : std::optional(found->second);
  };
  const auto choice = ChooseLayouts(SmallNet(), target, known, Unmeasured::kTuned);
  REQUIRE(choice.ok());
  CHECK(choice->changed > 0);
  CHECK(choice->seconds == Approx(0.8 * choice->estimated_seconds));
  CHECK(FindRivalLayouts(SmallNet(), ir::ParseTarget("cuda/sm_80").value())->empty());
  // Further ones are rivals of what is chosen then, until all of them are decided.
  int rounds = 0;
  for (;; ++rounds) {
    const absl::StatusOr<std::vector<RivalLayouts>> next =
        FindRivalLayouts(SmallNet(), target, known);
    REQUIRE(next.ok());
    if (next->empty()) break;
    REQUIRE(rounds < 20);
    const size_t before_round = log.size();
    for (const te::Workload& kernel : next->front().chosen) {
      log.try_emplace(te::StructuralHash(kernel.dag), 1);
    }
    for (const te::Workload& kernel : next->front().kernels) {
      log.try_emplace(te::StructuralHash(kernel.dag), 0.8);
    }
    CHECK(log.size() > before_round);
  }
  CHECK(rounds > 1);
}

TEST_CASE("plans in layouts compute what graphs do, and cost no more than the estimate's",
          "[graph]") {
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
    if (i % 4 != 0) {
      CHECK(SecondsOf(plan, known) <= SecondsOf(Planned(graph, Sse()), known) + 1e-9);
    }
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
