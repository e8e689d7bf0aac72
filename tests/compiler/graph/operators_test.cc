#include "compiler/graph/operators.h"

#include <cmath>

#include "tests/compiler/graph/run.h"

namespace tessera::graph {
namespace {

// What one operator makes of constants: `lines` define r.
std::vector<double> Computed(const std::string& lines) {
  const Graph graph = Parsed("graph g\n" + lines + "output r\n");
  return Outputs(graph, {})[0];
}

void CheckAbout(const std::vector<double>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(actual[i] == Approx(expected[i]).margin(1e-6));
  }
}

const std::string kX = "const x: f32[2,3] = [1,2,3,4,5,6]\n";

}  // namespace

TEST_CASE("elementwise operators compute each element", "[graph]") {
  const std::string x = "const x: f32[4] = [-2,-0.5,0.5,2]\n";
  const auto of = [&](const std::string& call) {
    return Computed(x + "r = " + call + ": f32[4]\n");
  };
  CheckAbout(of("relu(x)"), {0, 0, 0.5, 2});
  CheckAbout(of("abs(x)"), {2, 0.5, 0.5, 2});
  CheckAbout(of("neg(x)"), {2, 0.5, -0.5, -2});
  CheckAbout(of("sign(x)"), {-1, -1, 1, 1});
  CheckAbout(of("clip(x) min=-1 max=1"), {-1, -0.5, 0.5, 1});
  CheckAbout(of("leaky_relu(x) alpha=0.1"), {-0.2, -0.05, 0.5, 2});
  CheckAbout(of("elu(x)"), {std::exp(-2.0) - 1, std::exp(-0.5) - 1, 0.5, 2});
  CheckAbout(of("hard_sigmoid(x)"), {0.1, 0.4, 0.6, 0.9});
  CheckAbout(of("softplus(x)"), {std::log1p(std::exp(-2.0)), std::log1p(std::exp(-0.5)),
                                 std::log1p(std::exp(0.5)), std::log1p(std::exp(2.0))});
  CheckAbout(of("floor(x)"), {-2, -1, 0, 2});
  CheckAbout(of("round(x)"), {-2, 0, 0, 2});
  CheckAbout(of("gelu(x)"),
             {-1 - std::erf(-std::sqrt(2.0)), -0.25 * (1 + std::erf(-std::sqrt(0.125))),
              0.25 * (1 + std::erf(std::sqrt(0.125))), 1 + std::erf(std::sqrt(2.0))});
  CheckAbout(Computed(x + "r = cast(x) to=i8 saturate=1: i8[4]\n"), {-2, 0, 0, 2});
}

TEST_CASE("binary operators broadcast as NumPy does", "[graph]") {
  const std::string y = "const y: f32[2,1] = [10,20]\nconst s: f32[] = [2]\n";
  CheckAbout(Computed(kX + y + "r = add(x, y): f32[2,3]\n"), {11, 12, 13, 24, 25, 26});
  CheckAbout(Computed(kX + y + "r = sub(y, x): f32[2,3]\n"), {9, 8, 7, 16, 15, 14});
  CheckAbout(Computed(kX + y + "r = pow(x, s): f32[2,3]\n"), {1, 4, 9, 16, 25, 36});
  CheckAbout(Computed(kX + y + "r = mod(x, s): f32[2,3]\n"), {1, 0, 1, 0, 1, 0});
  CheckAbout(Computed(kX + "const z: f32[3] = [3,2,1]\nr = less(x, z): u8[2,3]\n"),
             {1, 0, 0, 0, 0, 0});
  CheckAbout(Computed("const a: i32[4] = [-7,7,-7,7]\nconst b: i32[4] = [2,2,-2,-2]\n"
                      "r = div(a, b): i32[4]\n"),
             {-3, 3, 3, -3});
  CheckAbout(Computed(kX + "const c: u8[3] = [1,0,1]\nconst z: f32[] = [0]\n"
                           "r = where(c, x, z): f32[2,3]\n"),
             {1, 0, 3, 4, 0, 6});
}

TEST_CASE("shapes change without changing elements", "[graph]") {
  CheckAbout(Computed(kX + "r = reshape(x) shape=[3,1,2]: f32[3,1,2]\n"), {1, 2, 3, 4, 5, 6});
  CheckAbout(Computed(kX + "r = transpose(x) order=[1,0]: f32[3,2]\n"), {1, 4, 2, 5, 3, 6});
  CheckAbout(Computed(kX + "r = slice(x) starts=[0,2] steps=[1,-1] shape=[2,3]: f32[2,3]\n"),
             {3, 2, 1, 6, 5, 4});
  CheckAbout(Computed(kX + "r = concat(x, x) axis=1: f32[2,6]\n"),
             {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
  CheckAbout(Computed(kX + "r = pad(x) before=[0,1] behind=[1,0] value=7.0: f32[3,4]\n"),
             {7, 1, 2, 3, 7, 4, 5, 6, 7, 7, 7, 7});
  CheckAbout(Computed(kX + "r = pad(x) before=[0,2] behind=[0,2] mode=reflect: f32[2,7]\n"),
             {3, 2, 1, 2, 3, 2, 1, 6, 5, 4, 5, 6, 5, 4});
  CheckAbout(Computed(kX + "r = pad(x) before=[0,1] behind=[0,1] mode=edge: f32[2,5]\n"),
             {1, 1, 2, 3, 3, 4, 4, 5, 6, 6});
  CheckAbout(Computed(kX + "const at: i64[2,1] = [-1,0]\nr = gather(x, at) axis=1: f32[2,2,1]\n"),
             {3, 1, 6, 4});
  CheckAbout(Computed(kX + "const at: i32[1,3] = [1,0,-1]\n"
                           "r = gather_elements(x, at) axis=0: f32[1,3]\n"),
             {4, 2, 6});
  CheckAbout(Computed(kX + "r = broadcast_to(x) shape=[2,2,3]: f32[2,2,3]\n"),
             {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("reductions go along any dimensions", "[graph]") {
  CheckAbout(Computed(kX + "r = reduce_sum(x): f32[1,1]\n"), {21});
  CheckAbout(Computed(kX + "r = reduce_mean(x) axes=[-1] keep=0: f32[2]\n"), {2, 5});
  CheckAbout(Computed(kX + "r = reduce_max(x) axes=[0]: f32[1,3]\n"), {4, 5, 6});
  CheckAbout(Computed(kX + "r = argmax(x) axis=1: i32[2,1]\n"), {2, 2});
  CheckAbout(Computed("const x: f32[3] = [0,0,0]\nr = softmax(x): f32[3]\n"),
             {1 / 3.0, 1 / 3.0, 1 / 3.0});
  CheckAbout(Computed("const x: f32[2,2] = [0,1,3,1]\nr = softmax(x) axis=0: f32[2,2]\n"),
             {1 / (1 + std::exp(3.0)), 0.5, 1 / (1 + std::exp(-3.0)), 0.5});
  CheckAbout(Computed("const x: f32[2] = [0,1]\nr = log_softmax(x): f32[2]\n"),
             {-std::log(1 + std::exp(1.0)), 1 - std::log(1 + std::exp(1.0))});
  CheckAbout(
      Computed("const x: f32[1,2] = [1,3]\nconst s: f32[2] = [2,2]\nconst b: f32[2] = [0,1]\n"
               "r = layer_norm(x, s, b) epsilon=0.0: f32[1,2]\n"),
      {-2, 3});
}

TEST_CASE("products, convolutions and pools", "[graph]") {
  CheckAbout(Computed(kX + "const w: f32[3,2] = [1,0,0,1,1,1]\nr = matmul(x, w): f32[2,2]\n"),
             {4, 5, 10, 11});
  CheckAbout(Computed(kX + "const w: f32[2,3] = [1,0,1,0,1,1]\nconst b: f32[2] = [1,2]\n"
                           "r = matmul(x, w, b) transpose_b=1: f32[2,2]\n"),
             {5, 7, 11, 13});
  const std::string image = "const x: f32[1,1,3,3] = [1,2,3,4,5,6,7,8,9]\n";
  CheckAbout(Computed(image + "const w: f32[1,1,2,2] = [1,0,0,1]\n"
                              "r = conv(x, w) before=[1,0] behind=[0,1]: f32[1,1,3,3]\n"),
             {2, 3, 0, 6, 8, 3, 12, 14, 6});
  CheckAbout(Computed(image + "const w: f32[1,1,2,2] = [1,2,3,4]\n"
                              "r = conv(x, w) strides=[2,2] dilations=[2,2]: f32[1,1,1,1]\n"),
             {1 + 6 + 21 + 36});
  CheckAbout(Computed("const x: f32[1,2,2,1] = [1,2,3,4]\nconst w: f32[2,2,1] = [1,1,2,0.5]\n"
                      "const b: f32[2] = [0,10]\nr = depthwise_conv(x, w, b): f32[1,2,1,1]\n"),
             {3, 18});
  CheckAbout(Computed("const x: f32[1,1,2,2] = [1,2,3,4]\nconst w: f32[1,1,2,2] = [1,10,100,1000]\n"
                      "r = conv_transpose(x, w) strides=[2,2]: f32[1,1,4,4]\n"),
             {1, 10, 2, 20, 100, 1000, 200, 2000, 3, 30, 4, 40, 300, 3000, 400, 4000});
  CheckAbout(Computed(image + "r = max_pool(x) kernel=[2,2] strides=[2,2] ceil=1: f32[1,1,2,2]\n"),
             {5, 6, 8, 9});
  CheckAbout(Computed(image + "r = avg_pool(x) kernel=[2,2] strides=[2,2] ceil=1: f32[1,1,2,2]\n"),
             {3, 4.5, 7.5, 9});
  CheckAbout(Computed(image + "r = avg_pool(x) kernel=[2,2] before=[1,1] count_padding=0 "
                              "strides=[2,2]: f32[1,1,2,2]\n"),
             {1, 2.5, 5.5, 7});
  CheckAbout(Computed(image + "r = avg_pool(x) kernel=[2,2] before=[1,1] strides=[2,2]: "
                              "f32[1,1,2,2]\n"),
             {0.25, 1.25, 2.75, 7});
}

TEST_CASE("products of doubles are summed as doubles", "[graph]") {
  // In f32 the first sum would be 2, the second 1.
  CHECK(Computed("const x: f64[1,2] = [1,1]\nconst w: f64[2,1] = [1,1.0000000001]\n"
                 "r = matmul(x, w): f64[1,1]\n")[0] == Approx(2.0000000001).epsilon(1e-15));
  CHECK(Computed("const x: f64[1,1,2] = [1,1.0000000002]\n"
                 "r = avg_pool(x) kernel=[2]: f64[1,1,1]\n")[0] ==
        Approx(1.0000000001).epsilon(1e-15));
}

TEST_CASE("a max pool's places lead back to what it took", "[graph]") {
  const std::string image = "const x: f32[1,1,3,3] = [1,2,3,9,5,6,7,9,8]\n";
  CheckAbout(Computed(image + "r = max_pool_at(x) kernel=[2,2]: i32[1,1,2,2]\n"), {2, 3, 0, 2});
  CheckAbout(Computed(image + "const g: f32[1,1,2,2] = [1,10,100,1000]\n"
                              "at = max_pool_at(x) kernel=[2,2]: i32[1,1,2,2]\n"
                              "r = max_unpool(g, at) kernel=[2,2] shape=[1,1,3,3]: "
                              "f32[1,1,3,3]\n"),
             {0, 0, 0, 101, 0, 10, 0, 1000, 0});
  CheckAbout(Computed("const x: f32[1,1,4] = [3,1,1,2]\nconst g: f32[1,1,3] = [1,10,100]\n"
                      "at = max_pool_at(x) kernel=[2] strides=[2] before=[1] behind=[1]: "
                      "i32[1,1,3]\n"
                      "r = max_unpool(g, at) kernel=[2] strides=[2] before=[1] behind=[1] "
                      "shape=[1,1,4]: f32[1,1,4]\n"),
             {1, 10, 0, 100});
  CHECK(!ParseGraph("graph g\ninput g: f32[1,1,3]\ninput at: i32[1,1,2]\n"
                    "r = max_unpool(g, at) kernel=[2] shape=[1,1,4]: f32[1,1,4]\noutput r\n",
                    [](const std::string&) { return absl::NotFoundError("none"); })
             .ok());
}

TEST_CASE("windows slide over constants of one element", "[graph]") {
  CheckAbout(Computed("const x: f32[1,1,1] = [3]\nconst w: f32[1,1,1] = [2]\n"
                      "r = conv(x, w) before=[1]: f32[1,1,2]\n"),
             {0, 6});
  CheckAbout(Computed("const x: f32[1,1,1] = [3]\nr = max_pool(x) kernel=[1]: f32[1,1,1]\n"), {3});
}

TEST_CASE("integers that doubles don't have stay as they are", "[graph]") {
  GraphBuilder builder("g");
  auto most = std::make_shared<Tensor>();
  most->type = {ir::Int(64), {}, {}};
  most->bytes.resize(8, std::byte{0xff});
  most->bytes[7] = std::byte{0x7f};
  CHECK(most->IntAt(0) == INT64_MAX);
  const int constant = *builder.Constant("c", most);
  const int made = *builder.Add("reshape", {constant}, {{"shape", std::vector<int64_t>{1}}});
  const auto outputs = Evaluate(std::move(builder).Finish({made}), {});
  REQUIRE(outputs.ok());
  CHECK(outputs->front()->IntAt(0) == INT64_MAX);
}

TEST_CASE("a node that is renamed gives its name free", "[graph]") {
  GraphBuilder builder("g");
  const int x = *builder.Input("x", {ir::Float(32), {1}, {}});
  const int first = *builder.Add("relu", {x});
  builder.Rename(first, "x");
  CHECK(builder.node(first).name == "x_1");
  CHECK(builder.node(*builder.Add("relu", {x})).name == "relu");
}

TEST_CASE("windows beyond the tensor are of padding alone in convolutions only", "[graph]") {
  CheckAbout(Computed("const x: f32[1,1,2] = [1,2]\nconst w: f32[1,1,1] = [3]\n"
                      "r = conv(x, w) before=[1] behind=[1]: f32[1,1,4]\n"),
             {0, 3, 6, 0});
  const auto refused = [](const std::string& call) {
    return !ParseGraph("graph g\nconst x: f32[1,1,3] = [1,2,3]\nr = " + call + "\noutput r\n",
                       [](const std::string&) { return absl::NotFoundError("none"); })
                .ok();
  };
  CHECK(refused("avg_pool(x) kernel=[2] behind=[10] count_padding=0: f32[1,1,12]"));
  CHECK(refused("avg_pool(x) kernel=[2] dilations=[5] before=[5]: f32[1,1,3]"));
  CHECK(refused("max_pool(x) kernel=[4611686018427387905] dilations=[4] strides=[1]: f32[1,1,3]"));
  CHECK(refused("slice(x) starts=[0,0,2] steps=[1,1,0] shape=[1,1,2]: f32[1,1,2]"));
}

TEST_CASE("integers keep their values", "[graph]") {
  CheckAbout(Computed("const x: i8[4] = [100,100,100,100]\nr = reduce_mean(x): i8[1]\n"), {100});
  CheckAbout(Computed("const x: i32[2] = [-3,0]\nr = reduce_mean(x): i32[1]\n"), {-1});
  CheckAbout(Computed("const x: u8[3] = [0,44,255]\nr = clip(x) min=-1 max=300: u8[3]\n"),
             {0, 44, 255});
  CheckAbout(Computed("const x: i32[2] = [-5,7]\nr = clip(x) min=0 max=inf: i32[2]\n"), {0, 7});
  CHECK(!ParseGraph("graph g\nconst x: i8[1] = [1]\n"
                    "r = pad(x) before=[1] behind=[0] value=300.0: i8[2]\noutput r\n",
                    [](const std::string&) { return absl::NotFoundError("none"); })
             .ok());
}

TEST_CASE("calls that make no sense are refused with the reason", "[graph]") {
  const auto refusal = [](const std::string& call) {
    const auto graph = ParseGraph("graph g\n" + kX + "r = " + call + ": f32[2,3]\noutput r\n",
                                  [](const std::string&) { return absl::NotFoundError("none"); });
    REQUIRE(!graph.ok());
    return std::string(graph.status().message());
  };
  CHECK(refusal("nothing(x)").find("no operator \"nothing\"") != std::string::npos);
  CHECK(refusal("relu(x, x)").find("2 operands; it takes 1") != std::string::npos);
  CHECK(refusal("relu(x) alpha=1").find("no attribute \"alpha\"") != std::string::npos);
  CHECK(refusal("clip(x) min=0").find("needs max") != std::string::npos);
  CHECK(refusal("reshape(x) shape=[4]").find("it needs 6 elements") != std::string::npos);
  CHECK(refusal("transpose(x) order=[0,0]").find("each dimension once") != std::string::npos);
  CHECK(refusal("softmax(x) axis=2").find("axis is 2") != std::string::npos);
  CHECK(refusal("matmul(x, x)").find("sums over 3 and 2") != std::string::npos);
  CHECK(refusal("relu(y)").find("y is not defined") != std::string::npos);
  CHECK(refusal("reduce_sum(x)").find("its operator makes f32[1,1]") != std::string::npos);
}

}  // namespace tessera::graph
