#include "compiler/graph/adjoint.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "compiler/graph/adjoint_rules.h"
#include "compiler/graph/operators.h"
#include "compiler/graph/passes.h"
#include "tests/compiler/graph/adjoint_check.h"

namespace tessera::graph {
namespace {

// A graph of one operator, whose type is looked up.
struct Case {
  std::string op;
  std::vector<std::vector<int64_t>> inputs;
  Attributes attributes = {};
  bool is_positive = false;  // takes exp of the inputs
};

Graph GraphOf(const Case& which) {
  INFO(which.op);
  GraphBuilder builder("g");
  std::vector<int> operands;
  for (const std::vector<int64_t>& shape : which.inputs) {
    operands.push_back(*builder.Input("x", {ir::Float(64), shape, {}}));
    if (which.is_positive) operands.back() = *builder.Add("exp", {operands.back()});
  }
  const absl::StatusOr<int> made = builder.Add(which.op, operands, which.attributes);
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  return std::move(builder).Finish({*made});
}

using List = std::vector<int64_t>;

std::vector<Case> Cases() {
  const List image{2, 3, 5, 4};
  return {
      {"abs", {{7}}},
      {"neg", {{7}}},
      {"relu", {{7}}},
      {"clip", {{2, 9}}, {{"min", -0.4}, {"max", 0.3}}},
      {"exp", {{7}}},
      {"log", {{7}}, {}, true},
      {"sqrt", {{7}}, {}, true},
      {"erf", {{7}}},
      {"tanh", {{7}}},
      {"sigmoid", {{7}}},
      {"hard_sigmoid", {{9}}, {{"alpha", 0.8}}},
      {"softplus", {{7}}},
      {"gelu", {{7}}},
      {"leaky_relu", {{7}}},
      {"elu", {{7}}, {{"alpha", 0.7}}},
      {"reciprocal", {{7}}, {}, true},
      {"cast", {{7}}, {{"to", std::string("f64")}}},
      {"add", {{2, 3}, {3}}},
      {"sub", {{3}, {2, 1}}},
      {"mul", {{4, 2, 3}, {2, 1}}},
      {"div", {{2, 3}, {1, 3}}, {}, true},
      {"mod", {{2, 9}, {9}}, {}, true},
      {"pow", {{2, 3}, {3}}, {}, true},
      {"min", {{2, 7}, {7}}},
      {"max", {{7}, {2, 7}}},
      {"reshape", {{2, 6}}, {{"shape", List{3, 4}}}},
      {"transpose", {{2, 3, 4}}, {{"order", List{2, 0, 1}}}},
      {"broadcast_to", {{2, 1}}, {{"shape", List{3, 2, 4}}}},
      {"slice",
       {{5, 9, 3}},
       {{"starts", List{3, 1, 0}}, {"steps", List{-2, 3, 1}}, {"shape", List{2, 3, 2}}}},
      {"concat", {{2, 3}, {2, 1}, {2, 4}}, {{"axis", int64_t{-1}}}},
      {"pad", {{2, 3}}, {{"before", List{1, 0}}, {"behind", List{0, 2}}, {"value", 7.0}}},
      {"pad",
       {{2, 3}},
       {{"before", List{1, 2}}, {"behind", List{0, 3}}, {"mode", std::string("edge")}}},
      {"pad",
       {{2, 4}},
       {{"before", List{1, 3}}, {"behind", List{1, 2}}, {"mode", std::string("reflect")}}},
      {"reduce_sum", {{2, 3, 4}}, {{"axes", List{0, -1}}, {"keep", int64_t{0}}}},
      {"reduce_mean", {{2, 3, 4}}, {{"axes", List{1}}}},
      {"reduce_max", {{2, 3, 4}}, {{"axes", List{2}}, {"keep", int64_t{0}}}},
      {"reduce_min", {{2, 3}}},
      {"reduce_prod", {{2, 3, 4}}, {{"axes", List{1}}}},
      {"softmax", {{2, 3, 4}}, {{"axis", int64_t{1}}}},
      {"log_softmax", {{2, 3}}},
      {"layer_norm", {{2, 3, 4}, {3, 4}, {3, 4}}, {{"axis", int64_t{1}}}},
      {"layer_norm", {{2, 3}, {3}}},
      {"matmul", {{2, 3}, {3, 4}, {4}}},
      {"matmul", {{2, 3}, {4, 3}}, {{"transpose_b", int64_t{1}}}},
      {"matmul", {{2, 5, 2, 3}, {3, 4}, {4}}},
      {"matmul", {{2, 5, 2, 3}, {1, 4, 3}}, {{"transpose_b", int64_t{1}}}},
      {"matmul", {{2, 1, 2, 3}, {5, 3, 4}}},
      {"matmul", {{2, 3}, {5, 4, 3}}, {{"transpose_b", int64_t{1}}}},
      {"conv", {image, {2, 3, 3, 3}, {2}}, {{"before", List{1, 1}}, {"behind", List{1, 1}}}},
      {"conv", {image, {2, 3, 1, 1}}, {{"strides", List{2, 2}}}},
      {"conv", {{1, 3, 4, 4}, {2, 3, 1, 1}}},
      {"conv", {image, {2, 3, 1, 1}}, {{"before", List{2, 0}}, {"behind", List{1, 1}}}},
      {"conv",
       {{2, 2, 3, 5, 4}, {2, 2, 3, 2, 2}, {2, 2}},
       {{"grouped", int64_t{1}}, {"strides", List{2, 1}}, {"before", List{1, 0}}}},
      {"conv", {{1, 2, 9}, {3, 2, 2}}, {{"strides", List{3}}, {"dilations", List{2}}}},
      {"conv", {{1, 2, 3, 4, 5}, {2, 2, 2, 2, 2}}, {{"strides", List{1, 2, 2}}}},
      {"depthwise_conv", {image, {3, 3, 2}, {3}}, {{"strides", List{2, 1}}}},
      {"conv_transpose",
       {{2, 3, 3, 2}, {3, 2, 3, 3}, {2}},
       {{"strides", List{2, 2}},
        {"before", List{1, 1}},
        {"behind", List{0, 1}},
        {"extra", List{0, 1}}}},
      {"max_pool", {image}, {{"kernel", List{2, 2}}, {"strides", List{2, 2}}}},
      {"max_pool",
       {image},
       {{"kernel", List{3, 2}},
        {"strides", List{2, 1}},
        {"before", List{1, 1}},
        {"behind", List{1, 0}},
        {"ceil", int64_t{1}}}},
      {"max_pool", {{1, 1, 9}}, {{"kernel", List{3}}, {"dilations", List{2}}}},
      {"avg_pool", {image}, {{"kernel", List{5, 4}}}},
      {"avg_pool",
       {image},
       {{"kernel", List{3, 2}},
        {"strides", List{2, 2}},
        {"before", List{1, 1}},
        {"ceil", int64_t{1}}}},
      {"avg_pool",
       {image},
       {{"kernel", List{3, 2}},
        {"strides", List{1, 2}},
        {"before", List{1, 1}},
        {"behind", List{2, 1}},
        {"count_padding", int64_t{0}}}},
  };
}

}  // namespace

TEST_CASE("derivatives of operators are their difference quotients", "[graph]") {
  uint64_t seed = 11;
  for (const Case& which : Cases()) CheckDerivatives(GraphOf(which), ++seed);
}

TEST_CASE("operators that take integers, too, have derivatives", "[graph]") {
  for (const char* lines :
       {"input c: i32[4]\ninput a: f64[3,4]\ninput b: f64[4]\nr = where(c, a, b): f64[3,4]\n",
        "input x: f64[2,5,3]\nconst at: i64[2,2] = [-1,0,9,3]\n"
        "r = gather(x, at) axis=1: f64[2,2,2,3]\n",
        "input x: f64[4,2]\nconst at: i32[] = [2]\nr = gather(x, at): f64[2]\n",
        "input x: f64[3,4,2]\nconst at: i32[2,3,2] = [0,-1,2,1,1,1,2,3,3,0,-4,7]\n"
        "r = gather_elements(x, at) axis=1: f64[2,3,2]\n",
        "input x: f64[5]\nconst p: f64[] = [3]\nr = pow(x, p): f64[5]\n",
        "input x: f64[5]\nconst p: f64[] = [2]\nr = pow(x, p): f64[5]\n"}) {
    CheckDerivatives(Parsed(absl::StrCat("graph g\n", lines, "output r\n")), 3);
  }
}

TEST_CASE("every operator has a rule, or none is wanted", "[graph]") {
  std::set<std::string, std::less<>> tested{"where", "gather", "gather_elements"};
  for (const Case& which : Cases()) tested.insert(which.op);
  for (const std::string_view op : OperatorNames()) {
    CAPTURE(op);
    const AdjointRow* row = FindAdjoint(op);
    if (op == "max_unpool") {
      CHECK(row == nullptr);
      continue;
    }
    REQUIRE(row != nullptr);
    CHECK((row->rule != nullptr) == tested.contains(op));
  }
}

TEST_CASE("convolutions of any geometry have derivatives", "[graph]") {
  std::mt19937_64 random(5);
  int made = 0;
  for (int i = 0; i < 150; ++i) {
    const auto below = [&](uint64_t end) { return static_cast<int64_t>(random() % end); };
    GraphBuilder builder("g");
    const int64_t channels = 1 + below(3);
    const int64_t kernel = 1 + below(3);
    const List extents{3 + below(6)};
    const uint64_t kind = random() % 4;
    List x{1 + below(2), channels, extents[0]}, w{1 + below(3), channels, kernel};
    if (kind == 1) x.insert(x.begin() + 1, 2), w.insert(w.begin(), 2);
    if (kind == 2) w = {channels, kernel};
    if (kind == 3) std::swap(w[0], w[1]);
    Attributes attributes{
        {"strides", List{1 + below(3)}}, {"before", List{below(5)}}, {"behind", List{below(5)}}};
    if (kind != 3) attributes["dilations"] = List{1 + below(3)};
    if (kind == 1) attributes["grouped"] = int64_t{1};
    static constexpr const char* kOps[] = {"conv", "conv", "depthwise_conv", "conv_transpose"};
    const int data = *builder.Input("x", {ir::Float(64), x, {}});
    const int weights = *builder.Input("w", {ir::Float(64), w, {}});
    const absl::StatusOr<int> conv = builder.Add(kOps[kind], {data, weights}, attributes);
    if (!conv.ok()) continue;  // a window that is larger than what it slides over
    ++made;
    const Graph graph = std::move(builder).Finish({*conv});
    // Where every window lies in the padding alone no output depends on anything.
    if (Adjoint(graph, graph.Inputs()).ok()) CheckDerivatives(graph, random(), 1);
  }
  CHECK(made > 80);
}

TEST_CASE("a convolution of padding alone has no gradient", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,1,1]\ninput w: f32[1,1,1]\n"
      "conv = conv(x, w) strides=[3] before=[5]: f32[1,1,2]\noutput conv\n");
  CHECK(Adjoint(graph, {0}).status().message().find("its gradient is 0 everywhere") !=
        std::string::npos);
}

TEST_CASE("values that are used several times sum what they get", "[graph]") {
  CheckDerivatives(Parsed("graph g\ninput x: f64[3]\ninput y: f64[3]\na = mul(x, x): f64[3]\n"
                          "b = mul(a, y): f64[3]\nc = add(b, a): f64[3]\nd = sub(c, x): f64[3]\n"
                          "output d\noutput a\noutput a\n"),
                   4);
}

TEST_CASE("random nets have the derivatives of their difference quotients", "[graph]") {
  const uint64_t seed = 23;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 25; ++i) {
    GraphBuilder builder("net");
    int x = *builder.Input("x", {ir::Float(64), {2, 3, 6, 6}, {}});
    const auto add = [&](std::string_view op, std::vector<int> operands, Attributes with = {}) {
      const absl::StatusOr<int> made = builder.Add(op, std::move(operands), std::move(with));
      INFO(op << made.status().ToString());
      REQUIRE(made.ok());
      return *made;
    };
    const auto input = [&](List shape) {
      return *builder.Input("w", {ir::Float(64), std::move(shape), {}});
    };
    const Attributes same{{"before", List{1, 1}}, {"behind", List{1, 1}}};
    for (int layer = 0; layer < 5; ++layer) {
      const List shape = builder.type(x).shape;
      const int64_t c = shape[1];
      switch (random() % 7) {
        case 0:
          x = add("add", {x, add("tanh", {add("conv", {x, input({c, c, 3, 3})}, same)})});
          break;
        case 1:
          x = add("gelu", {add("depthwise_conv", {x, input({c, 3, 3}), input({c})}, same)});
          break;
        case 2: {
          Attributes pool{{"kernel", List{2, 2}}, {"before", List{1, 0}}};
          x = add(random() % 2 == 0 ? "max_pool" : "avg_pool", {x}, pool);
          break;
        }
        case 3:
          x = add("mul", {x, add("sigmoid", {add("reduce_mean", {x}, {{"axes", List{2, 3}}})})});
          break;
        case 4:
          x = add("layer_norm", {x, input({shape[2], shape[3]})}, {{"axis", int64_t{2}}});
          break;
        case 5:
          x = add("concat", {x, add("relu", {add("conv", {x, input({2, c, 1, 1})})})},
                  {{"axis", int64_t{1}}});
          break;
        default:
          x = add("matmul", {add("softmax", {x}), input({shape[3], 4})});
          break;
      }
    }
    const int pooled = add("reduce_mean", {x}, {{"axes", List{2, 3}}, {"keep", int64_t{0}}});
    const int scores = add("matmul", {pooled, input({builder.type(pooled).shape[1], 4})});
    x = add("log_softmax", {scores});
    CheckDerivatives(std::move(builder).Finish({x}), random(), 1);
  }
}

TEST_CASE("equals share a reduction's gradient, or the first has it", "[graph]") {
  const auto gradient = [](const std::string& call) {
    const Graph graph = Parsed("graph g\ninput x: f32[1,1,4]\n" + call + "output r\n");
    const Graph backward = Derived(graph, {0});
    std::vector<TensorRef> inputs{MakeTensor(ir::Float(32), {1, 1, 4}, {0, 2, 2, 2})};
    for (const int input : backward.Inputs()) {
      const TensorType& type = backward.nodes[input].type;
      if (inputs.size() == 1 && input == 0) continue;
      inputs.push_back(
          MakeTensor(type.element, type.shape, std::vector<double>(type.ElementCount(), 3.0)));
    }
    return Outputs(backward, inputs)[0];
  };
  CHECK(gradient("r = reduce_max(x) axes=[2]: f32[1,1,1]\n") == std::vector<double>{0, 1, 1, 1});
  CHECK(gradient("r = max_pool(x) kernel=[4]: f32[1,1,1]\n") == std::vector<double>{0, 3, 0, 0});
  CHECK(gradient("r = max_pool(x) kernel=[2]: f32[1,1,3]\n") == std::vector<double>{0, 6, 3, 0});
  CHECK(gradient("r = reduce_prod(x): f32[1,1,1]\n") == std::vector<double>{24, 0, 0, 0});
  CHECK(gradient("r = relu(x): f32[1,1,4]\n") == std::vector<double>{0, 3, 3, 3});
}

TEST_CASE("weights that are constants become inputs", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[2,3]\nconst w: f32[3,2] = [1,2,3,4,5,6]\nconst two: f32[] = [2]\n"
      "const at: i32[2] = [0,1]\np = matmul(x, w): f32[2,2]\ny = mul(p, two): f32[2,2]\n"
      "z = floor(y): f32[2,2]\noutput y\noutput z\n");
  CHECK(Parameters(graph) == std::vector<int>{1});
  const Graph backward = Derived(graph, Parameters(graph));
  std::vector<std::string> inputs;
  for (const int input : backward.Inputs()) inputs.push_back(backward.nodes[input].name);
  CHECK(inputs == std::vector<std::string>{"x", "w", "d_y"});
  REQUIRE(backward.outputs.size() == 1);
  const Node& gradient = backward.nodes[backward.outputs[0]];
  CHECK(gradient.name == "d_w");
  CHECK(gradient.type == graph.nodes[1].type);
}

TEST_CASE("what has no gradient is refused with the reason", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,1,4]\ninput i: i32[1,1,2]\ninput y: f32[1,1,2]\n"
      "u = max_unpool(y, i) kernel=[2] strides=[2] shape=[1,1,4]: f32[1,1,4]\n"
      "f = floor(x): f32[1,1,4]\ns = add(u, f): f32[1,1,4]\noutput s\n");
  const auto refusal = [&](const std::vector<int>& wrt) {
    return std::string(Adjoint(graph, wrt).status().message());
  };
  CHECK(refusal({0}).find("no output depends on x by floats") != std::string::npos);
  CHECK(refusal({1}).find("i is input of i32[1,1,2]") != std::string::npos);
  CHECK(refusal({2}).find("u: the operator max_unpool has no derivative") != std::string::npos);
  CHECK(refusal({3}).find("by inputs and constants of floats") != std::string::npos);
  CHECK(refusal({0, 0}).find("x is to be derived by twice") != std::string::npos);
  CHECK(refusal({9}).find("no node 9 of 6") != std::string::npos);
  CHECK(refusal({}).find("nothing to derive by") != std::string::npos);
  CHECK(Parameters(graph) == std::vector<int>{2});
}

}  // namespace tessera::graph
