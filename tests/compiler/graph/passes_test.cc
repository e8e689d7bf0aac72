#include "compiler/graph/passes.h"

#include "tests/compiler/graph/net.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {
namespace {

Graph Passed(const Graph& graph, Pass pass) {
  const absl::StatusOr<Graph> made = pass(graph);
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  const absl::Status verified = Verify(*made);
  INFO(verified.ToString());
  REQUIRE(verified.ok());
  return *made;
}

int CountOf(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::ranges::count(graph.nodes, op, &Node::op));
}

void CheckSame(const Graph& before, const Graph& after) {
  const std::vector<TensorRef> inputs = SomeInputs(before, 3);
  const auto expected = Outputs(before, inputs), actual = Outputs(after, inputs);
  REQUIRE(actual.size() == expected.size());
  for (size_t o = 0; o < expected.size(); ++o) {
    REQUIRE(actual[o].size() == expected[o].size());
    for (size_t i = 0; i < expected[o].size(); ++i) {
      CAPTURE(o, i);
      CHECK(actual[o][i] == Approx(expected[o][i]).margin(1e-5));
    }
  }
}

}  // namespace

TEST_CASE("batch normalisation goes into the convolution before", "[graph]") {
  // (conv(x, w) - mean) · scale / deviation + shift, the numbers by channel.
  const Graph graph = Parsed(
      "graph g\n"
      "input x: f32[1,2,4,4]\n"
      "const w: f32[2,2,2,2] = [1,-1,0.5,0.25,2,1,0,1,-1,-2,0.5,1,0.125,3,1,1]\n"
      "const mean: f32[2,1,1] = [0.5,-1]\n"
      "const scale: f32[2,1,1] = [2,0.25]\n"
      "const deviation: f32[2,1,1] = [4,0.5]\n"
      "const shift: f32[1,2,1,1] = [1,-3]\n"
      "conv = conv(x, w): f32[1,2,3,3]\n"
      "centred = sub(conv, mean): f32[1,2,3,3]\n"
      "factor = div(scale, deviation): f32[2,1,1]\n"
      "scaled = mul(centred, factor): f32[1,2,3,3]\n"
      "normal = add(scaled, shift): f32[1,2,3,3]\n"
      "relu = relu(normal): f32[1,2,3,3]\n"
      "output relu\n");
  std::vector<std::string> names;
  const absl::StatusOr<Graph> made =
      RunPasses(graph, StandardPasses(),
                [&](std::string_view name, const Graph&) { names.emplace_back(name); });
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  CHECK(names.size() == StandardPasses().size());
  CHECK(CountOf(*made, "conv") == 1);
  for (const char* op : {"mul", "add", "sub", "div"}) CHECK(CountOf(*made, op) == 0);
  CheckSame(graph, *made);
}

TEST_CASE("a convolution that others use keeps its scale apart", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,1,3]\nconst w: f32[1,1,1] = [2]\nconst s: f32[1,1] = [3]\n"
      "conv = conv(x, w): f32[1,1,3]\nmul = mul(conv, s): f32[1,1,3]\n"
      "output mul\noutput conv\n");
  const Graph made = Passed(graph, FoldScales);
  CHECK(CountOf(made, "mul") == 1);
  CheckSame(graph, made);
}

TEST_CASE("products take their bias", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[2,3]\nconst w: f32[3,2] = [1,2,3,4,5,6]\nconst b: f32[2] = [10,20]\n"
      "mul = matmul(x, w): f32[2,2]\nadd = add(b, mul): f32[2,2]\noutput add\n");
  const Graph made = Passed(graph, FoldScales);
  CHECK(CountOf(made, "add") == 0);
  CheckSame(graph, made);
}

TEST_CASE("what changes nothing goes away", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[2,3]\nconst zero: f32[] = [0]\nconst one: f32[1] = [1]\n"
      "a = add(x, zero): f32[2,3]\nb = mul(one, a): f32[2,3]\nc = reshape(b) shape=[6]: f32[6]\n"
      "d = reshape(c) shape=[2,3]: f32[2,3]\ne = transpose(d) order=[1,0]: f32[3,2]\n"
      "f = transpose(e) order=[1,0]: f32[2,3]\ng = cast(f) to=f32: f32[2,3]\noutput g\n");
  Graph made = Passed(graph, Simplify);
  CheckSame(graph, made);
  made = Passed(made, Simplify);
  CHECK(made.nodes.size() == 2);  // the output has a name of its own
}

TEST_CASE("broadcasting by adding zeros is kept", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[3]\nconst zero: f32[2,3] = [0,0,0,0,0,0]\n"
      "a = add(x, zero): f32[2,3]\noutput a\n");
  CheckSame(graph, Passed(graph, Simplify));
}

TEST_CASE("equal nodes become one", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[4]\nconst a: f32[] = [2]\nconst b: f32[] = [2]\n"
      "l = mul(x, a): f32[4]\nr = mul(x, b): f32[4]\ne = leaky_relu(l) alpha=0.5: f32[4]\n"
      "f = leaky_relu(r) alpha=0.25: f32[4]\ns = add(e, f): f32[4]\noutput s\n");
  const Graph made = Passed(graph, MergeCommon);
  CHECK(CountOf(made, "mul") == 1);
  CHECK(CountOf(made, "leaky_relu") == 2);
  CheckSame(graph, made);
}

TEST_CASE("constants are computed, but for large ones of small ones", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[2]\nconst a: f32[2] = [1,2]\n"
      "b = exp(a): f32[2]\nc = neg(b): f32[2]\nd = add(x, c): f32[2]\n"
      "large = broadcast_to(c) shape=[20000,2]: f32[20000,2]\noutput d\noutput large\n");
  const Graph made = Passed(graph, FoldConstants);
  CHECK(CountOf(made, "exp") + CountOf(made, "neg") == 0);
  CHECK(CountOf(made, "broadcast_to") == 1);
  CheckSame(graph, made);
}

TEST_CASE("what is small is computed of large values between constants", "[graph]") {
  // As what zero points add to the sums of quantised weights.
  Net net(3);
  const int x = net.Input({300});
  const int w = net.Weights({300, 100});
  const int wide = net.Add("broadcast_to", {w}, {{"shape", std::vector<int64_t>{4, 300, 100}}});
  const int sums =
      net.Add("reduce_sum", {wide}, {{"axes", std::vector<int64_t>{0, 2}}, {"keep", int64_t{0}}});
  const Graph graph = net.Finish(net.Add("add", {x, sums}));
  const Graph made = Passed(graph, FoldConstants);
  CHECK(CountOf(made, "broadcast_to") + CountOf(made, "reduce_sum") == 0);
}

TEST_CASE("outputs keep their names and layouts", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,2,4] layout(0 2 1)\nconst w: f32[2,2,1] = [1,2,3,4]\n"
      "const s: f32[] = [2]\nconst one: f32[] = [1]\n"
      "conv = conv(x, w): f32[1,2,4]\nresult = mul(conv, s): f32[1,2,4]\n"
      "same = mul(x, one): f32[1,2,4] layout(0 2 1)\nnext = mul(x, one): f32[1,2,4]\n"
      "sum = add(s, s): f32[]\n"
      "output result\noutput same\noutput next\noutput sum\noutput x\n");
  const absl::StatusOr<Graph> made = RunPasses(graph, StandardPasses());
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  CHECK(CountOf(*made, "mul") == 2);  // of x, which is there already
  CHECK(made->nodes[made->outputs[0]].op == "conv");
  CHECK(made->nodes[made->outputs[3]].is_constant());
  CheckSame(graph, *made);
}

TEST_CASE("quantised weights are scaled once, whatever their size", "[graph]") {
  GraphBuilder builder("g");
  std::vector<double> values(160 * 160);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 251) - 125;
  const int x = *builder.Input("x", {ir::Float(32), {1, 160}, {}});
  const int bytes = *builder.Constant("bytes", MakeTensor(ir::Int(8), {160, 160}, values));
  const int scale = *builder.Constant("scale", MakeTensor(ir::Float(32), {}, {0.125}));
  const int wide = *builder.Add("cast", {bytes}, {{"to", std::string("f32")}});
  const int weights = *builder.Add("mul", {wide, scale});
  const int product = *builder.Add("matmul", {x, weights});
  // The same bytes, added to something, are better read as bytes.
  const int shift =
      *builder.Add("neg", {*builder.Add("cast", {bytes}, {{"to", std::string("f32")}})});
  const int sum = *builder.Add("add", {product, shift});
  const Graph graph = std::move(builder).Finish({product, sum});
  const Graph made = Passed(graph, FoldConstants);
  CHECK(CountOf(made, "mul") == 0);
  CHECK(CountOf(made, "neg") == 1);
  CHECK(made.operand(made.nodes[made.outputs[0]], 1).is_constant());
  CheckSame(graph, made);
}

TEST_CASE("constants that take long, or have no value, are left to run time", "[graph]") {
  const Graph graph = Parsed(
      "graph g\nconst x: f32[1,1,2] = [1,2]\nconst one: i32[1] = [1]\nconst zero: i32[1] = [0]\n"
      "pool = max_pool(x) kernel=[100000000] before=[99999999]: f32[1,1,2]\n"
      "div = div(one, zero): i32[1]\noutput pool\noutput div\n");
  const Graph made = Passed(graph, FoldConstants);
  CHECK(CountOf(made, "max_pool") == 1);
  CHECK(CountOf(made, "div") == 1);
}

}  // namespace tessera::graph
