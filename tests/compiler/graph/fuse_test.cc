#include "compiler/graph/fuse.h"

#include "absl/strings/str_cat.h"
#include "compiler/graph/define.h"
#include "compiler/graph/operators.h"
#include "compiler/graph/views.h"
#include "compiler/ir/evaluate.h"
#include "compiler/te/operators.h"
#include "compiler/te/reference.h"
#include "tests/compiler/graph/run.h"

namespace tessera::graph {
namespace {

// Groups as text: operators of each in order.
std::vector<std::string> Groups(const Graph& graph) {
  std::vector<std::string> texts;
  for (const Group& group : Fuse(graph)) {
    std::string text;
    for (const int node : group) text += (text.empty() ? "" : " ") + graph.nodes[node].op;
    texts.push_back(text);
  }
  return texts;
}

const char* const kBlock =
    "graph block\n"
    "input x: f32[1,2,4,4]\n"
    "const w: f32[2,2,1,1] = [1,2,3,4]\n"
    "const v: f32[2,2,1,1] = [1,-2,0.5,4]\n"
    "const b: f32[2] = [0.5,-0.5]\n"
    "a = conv(x, w, b): f32[1,2,4,4]\n"
    "relu_a = relu(a): f32[1,2,4,4]\n"
    "c = conv(relu_a, v): f32[1,2,4,4]\n"
    "sum = add(c, x): f32[1,2,4,4]\n"
    "relu_c = relu(sum): f32[1,2,4,4]\n"
    "pool = reduce_mean(relu_c) axes=[2,3] keep=0: f32[1,2]\n"
    "flat = reshape(pool) shape=[2]: f32[2]\n"
    "output flat\n";

}  // namespace

TEST_CASE("what follows a convolution goes with it", "[graph]") {
  const Graph graph = Parsed(kBlock);
  CHECK(Groups(graph) ==
        std::vector<std::string>{"conv relu", "conv add relu", "reduce_mean", "reshape"});
  const std::vector<Group> groups = Fuse(graph);
  const std::vector<View> views = FindViews(graph);
  CHECK(views[groups[0].back()].of < 0);
  CHECK(views[groups[3].back()].of == groups[2].back());
}

TEST_CASE("diamonds of elementwise operators are one group", "[graph]") {
  CHECK(Groups(Parsed("graph g\ninput x: f32[8]\nconst half: f32[] = [0.5]\n"
                      "s = hard_sigmoid(x): f32[8]\nt = tanh(s): f32[8]\ne = exp(s): f32[8]\n"
                      "p = mul(t, e): f32[8]\nh = mul(p, half): f32[8]\noutput h\n")) ==
        std::vector<std::string>{"hard_sigmoid tanh exp mul mul"});
}

TEST_CASE("results are stored as narrow as they are, and widened where they are read", "[graph]") {
  // Two products whose results are bytes; the first one's kernel adds the second's to its own.
  const Graph graph = Parsed(
      "graph g\ninput x: i8[1,2,4,4]\nconst w: i8[2,2,1,1] = [1,2,3,4]\n"
      "const k: f32[1,2,1,1] = [0.5,0.25]\n"
      "a = conv(x, w): i32[1,2,4,4]\nab = cast(a) to=i8 saturate=1: i8[1,2,4,4]\n"
      "aw = cast(ab) to=f32: f32[1,2,4,4]\nan = mul(aw, k): f32[1,2,4,4]\n"
      "b = conv(x, w): i32[1,2,4,4]\nbb = cast(b) to=i8 saturate=1: i8[1,2,4,4]\n"
      "bw = cast(bb) to=f32: f32[1,2,4,4]\nbn = mul(bw, k): f32[1,2,4,4]\n"
      "sum = add(an, bn): f32[1,2,4,4]\nr = relu(sum): f32[1,2,4,4]\n"
      "rb = cast(r) to=i8 saturate=1: i8[1,2,4,4]\nrw = cast(rb) to=f32: f32[1,2,4,4]\n"
      "m = reduce_mean(rw) axes=[2,3]: f32[1,2,1,1]\noutput m\n");
  CHECK(Groups(graph) == std::vector<std::string>{"conv cast",
                                                  "conv cast cast mul cast mul add relu cast",
                                                  "cast reduce_mean"});
  // Nobody who could compute it reads the last of this one.
  CHECK(Groups(
            Parsed("graph g\ninput x: i8[1,2,4,4]\nconst w: i8[2,2,1,1] = [1,2,3,4]\n"
                   "const v: f32[2,2,1,1] = [1,2,3,4]\n"
                   "a = conv(x, w): i32[1,2,4,4]\nb = cast(a) to=i8: i8[1,2,4,4]\n"
                   "f = cast(b) to=f32: f32[1,2,4,4]\nc = conv(f, v): f32[1,2,4,4]\noutput c\n")) ==
        std::vector<std::string>{"conv cast cast", "conv"});
}

TEST_CASE("two reductions stay apart, and broadcasting does not compute again", "[graph]") {
  CHECK(Groups(Parsed("graph g\ninput x: f32[4,8]\nconst n: f32[] = [2]\n"
                      "d = mul(x, n): f32[4,8]\nm = reduce_max(d) axes=[1]: f32[4,1]\n"
                      "e = exp(m): f32[4,1]\ns = sub(x, e): f32[4,8]\n"
                      "t = reduce_sum(s) axes=[1]: f32[4,1]\noutput t\n")) ==
        std::vector<std::string>{"mul reduce_max exp", "sub reduce_sum"});
}

TEST_CASE("what is computed is not computed again behind a reshape", "[graph]") {
  CHECK(Groups(Parsed("graph g\ninput x: f32[8]\na = exp(x): f32[8]\n"
                      "b = reshape(a) shape=[1,8]: f32[1,8]\n"
                      "c = broadcast_to(b) shape=[64,8]: f32[64,8]\noutput c\n")) ==
        std::vector<std::string>{"exp reshape", "broadcast_to"});
}

TEST_CASE("a kernel has no more tensors than a library's calls", "[graph]") {
  // So many parts and the result are the most: what is added needs a kernel of its own.
  for (const int parts : {kMaxKernelTensors - 2, kMaxKernelTensors - 1}) {
    CAPTURE(parts);
    std::string text = "graph g\n", list;
    for (int i = 0; i < parts; ++i) {
      absl::StrAppend(&text, "input x", i, ": f32[1]\n");
      absl::StrAppend(&list, i == 0 ? "" : ", ", "x", i);
    }
    absl::StrAppend(&text, "input y: f32[", parts, "]\nall = concat(", list, ") axis=0: f32[",
                    parts, "]\nsum = add(all, y): f32[", parts, "]\noutput sum\n");
    CHECK(Groups(Parsed(text)) == (parts == kMaxKernelTensors - 2
                                       ? std::vector<std::string>{"concat add"}
                                       : std::vector<std::string>{"concat", "add"}));
  }
}

TEST_CASE("outputs end groups", "[graph]") {
  CHECK(Groups(Parsed("graph g\ninput x: f32[8]\na = exp(x): f32[8]\nb = neg(a): f32[8]\n"
                      "output b\noutput a\n")) == std::vector<std::string>{"exp", "neg"});
}

TEST_CASE("groups compute what their nodes do", "[graph]") {
  const Graph graph = Parsed(kBlock);
  const std::vector<TensorRef> inputs = SomeInputs(graph, 9);
  const auto expected = Outputs(graph, inputs);
  std::vector<std::vector<std::byte>> values(graph.nodes.size());
  values[0] = inputs[0]->bytes;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].is_constant()) values[i] = graph.nodes[i].constant->bytes;
  }
  int number = 0;
  for (const Group& group : Fuse(graph)) {
    const absl::StatusOr<Definition> definition =
        Define(graph, group, "task" + std::to_string(number++));
    INFO(definition.status().ToString());
    REQUIRE(definition.ok());
    std::vector<absl::Span<std::byte>> buffers;
    for (const int input : definition->inputs) buffers.push_back(absl::MakeSpan(values[input]));
    std::vector<std::byte>& result = values[definition->output];
    result.resize(static_cast<size_t>(graph.nodes[definition->output].type.Bytes()));
    buffers.push_back(absl::MakeSpan(result));
    REQUIRE(ir::Evaluate(te::ReferenceProgram(definition->workload), buffers).ok());
  }
  for (size_t i = 0; i < expected[0].size(); ++i) {
    CHECK(ir::ReadElement(ir::Float(32), values[graph.outputs[0]], static_cast<int64_t>(i)) ==
          Approx(expected[0][i]).margin(1e-5));
  }
}

TEST_CASE("a convolution's task is that of the operator of its name", "[graph]") {
  const Graph graph = Parsed(
      "graph g\ninput x: f32[1,16,8,8]\ninput w: f32[16,16,3,3]\ninput b: f32[16]\n"
      "conv = conv(x, w, b) before=[1,1] behind=[1,1]: f32[1,16,8,8]\n"
      "relu = relu(conv): f32[1,16,8,8]\noutput relu\n");
  // Weights and bias as constants, whatever their values.
  Graph constant = graph;
  for (const int node : {1, 2}) {
    constant.nodes[node].op = "constant";
    const TensorType& type = constant.nodes[node].type;
    constant.nodes[node].constant = MakeTensor(
        type.element, type.shape, std::vector<double>(static_cast<size_t>(type.ElementCount())));
  }
  const absl::StatusOr<Definition> definition = Define(constant, {3, 4}, "c");
  REQUIRE(definition.ok());
  const te::Workload named = *te::MakeWorkload({"c",
                                                "conv2d",
                                                {{"ic", "16"},
                                                 {"oc", "16"},
                                                 {"size", "8"},
                                                 {"k", "3"},
                                                 {"pad", "1"},
                                                 {"bias", "true"},
                                                 {"relu", "true"}}});
  INFO(te::Print(definition->workload));
  INFO(te::Print(named));
  CHECK(te::StructuralHash(definition->workload.dag) == te::StructuralHash(named.dag));
}

}  // namespace tessera::graph
