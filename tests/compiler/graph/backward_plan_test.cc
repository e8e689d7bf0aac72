#include "compiler/graph/adjoint.h"
#include "compiler/graph/passes.h"
#include "tests/compiler/graph/check_tasks.h"
#include "tests/compiler/graph/net.h"

namespace tessera::graph {
namespace {

// The stem and a residual block that halves the image.
Graph ResNetBlock(int64_t channels, int64_t size) {
  Net net(1);
  int x = net.Add("relu", {net.Conv(net.Input({1, 3, size, size}), channels, 7, 2)});
  x = net.Add("max_pool", {x},
              {{"kernel", std::vector<int64_t>{3, 3}},
               {"strides", std::vector<int64_t>{2, 2}},
               {"before", std::vector<int64_t>{1, 1}},
               {"behind", std::vector<int64_t>{1, 1}}});
  int y = net.Add("relu", {net.Conv(x, 2 * channels, 3, 2)});
  y = net.Add("add", {net.Conv(y, 2 * channels, 3, 1), net.Conv(x, 2 * channels, 1, 2)});
  y = net.Add("reduce_mean", {net.Add("relu", {y})},
              {{"axes", std::vector<int64_t>{2, 3}}, {"keep", int64_t{0}}});
  return net.Finish(net.Dense(y, 10));
}

Graph BertLayer(int64_t length, int64_t heads, int64_t width) {
  Net net(2);
  const int x = net.Input({1, length, heads * width});
  const auto split = [&](int projected) {
    const int apart =
        net.Add("reshape", {projected}, {{"shape", std::vector<int64_t>{1, length, heads, width}}});
    return net.Add("transpose", {apart}, {{"order", std::vector<int64_t>{0, 2, 1, 3}}});
  };
  const auto norm = [&](int sum) {
    return net.Add("layer_norm", {sum, net.Weights({heads * width}), net.Weights({heads * width})});
  };
  const int q = split(net.Dense(x, heads * width)), k = split(net.Dense(x, heads * width)),
            v = split(net.Dense(x, heads * width));
  const int scores = net.Add("softmax", {net.Add("matmul", {q, k}, {{"transpose_b", int64_t{1}}})});
  const int mixed = net.Add("transpose", {net.Add("matmul", {scores, v})},
                            {{"order", std::vector<int64_t>{0, 2, 1, 3}}});
  const int joined =
      net.Add("reshape", {mixed}, {{"shape", std::vector<int64_t>{1, length, heads * width}}});
  const int attended = norm(net.Add("add", {x, net.Dense(joined, heads * width)}));
  const int inner = net.Add("gelu", {net.Dense(attended, 4 * heads * width)});
  return net.Finish(norm(net.Add("add", {attended, net.Dense(inner, heads * width)})));
}

Plan BackwardPlan(const Graph& graph) {
  absl::StatusOr<Graph> backward = RunPasses(Derived(graph, Parameters(graph)), StandardPasses());
  INFO(backward.status().ToString());
  REQUIRE(backward.ok());
  absl::StatusOr<Plan> plan = MakePlan(*backward);
  INFO(plan.status().ToString());
  REQUIRE(plan.ok());
  return *std::move(plan);
}

}  // namespace

TEST_CASE("the backward kernels of a residual block are tasks", "[graph]") {
  // Forward 4 convolutions and a product, backward twice as many but for the image's gradient.
  CheckTasks(BackwardPlan(ResNetBlock(64, 224)), 10, false);
  CheckTasks(BackwardPlan(ResNetBlock(2, 16)), 10, true);
}

TEST_CASE("the backward kernels of a transformer's layer are tasks", "[graph]") {
  CheckTasks(BackwardPlan(BertLayer(128, 12, 64)), 8, false);
  CheckTasks(BackwardPlan(BertLayer(6, 2, 4)), 8, true);
}

}  // namespace tessera::graph
