#include "compiler/graph/views.h"

#include "compiler/graph/plan.h"
#include "tests/compiler/graph/run.h"
#include "tests/compiler/graph/run_plan.h"

namespace tessera::graph {
namespace {

// The view that the node of that name is.
View ViewOf(const Graph& graph, std::string_view name) {
  const std::vector<View> views = FindViews(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].name == name) return views[i];
  }
  FAIL("no node " << name);
  return {};
}

// `slices` are of s, softmax of x: f32[4,2,16].
Graph Sliced(const std::string& slices) {
  return Parsed("graph g\ninput x: f32[4,2,16]\ns = softmax(x): f32[4,2,16]\n" + slices);
}

// Into which concatenation, and where, the value of the node of that name is computed.
View PartOf(const Graph& graph, std::string_view name) {
  const std::vector<View> parts = FindParts(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].name == name) return parts[i];
  }
  FAIL("no node " << name);
  return {};
}

// a and b: f32[1,2,16] each, computed of inputs, then `rest`.
Graph Joined(const std::string& rest) {
  return Parsed(
      "graph g\ninput x: f32[1,2,16]\ninput y: f32[1,2,16]\n"
      "a = softmax(x): f32[1,2,16]\nb = softmax(y): f32[1,2,16]\n" +
      rest);
}

}  // namespace

TEST_CASE("consecutive elements from an aligned byte on are a view", "[graph]") {
  const Graph graph = Sliced(
      "rows = slice(s) starts=[1,0,0] steps=[1,1,1] shape=[2,2,16]: f32[2,2,16]\n"
      "part = slice(s) starts=[3,1,0] steps=[-1,1,1] shape=[1,1,16]: f32[1,1,16]\n"
      "half = slice(s) starts=[0,1,4] steps=[1,1,1] shape=[1,1,8]: f32[1,1,8]\n"
      "column = slice(s) starts=[0,1,0] steps=[1,1,1] shape=[4,1,16]: f32[4,1,16]\n"
      "turned = slice(s) starts=[1,0,0] steps=[-1,1,1] shape=[2,2,16]: f32[2,2,16]\n"
      "a = exp(rows): f32[2,2,16]\nb = exp(part): f32[1,1,16]\nc = exp(half): f32[1,1,8]\n"
      "d = exp(column): f32[4,1,16]\ne = exp(turned): f32[2,2,16]\n"
      "output a\noutput b\noutput c\noutput d\noutput e\n");
  CHECK(ViewOf(graph, "rows").of == 1);
  CHECK(ViewOf(graph, "rows").offset == 128);
  CHECK(ViewOf(graph, "part").of == 1);
  CHECK(ViewOf(graph, "part").offset == 3 * 128 + 64);
  CHECK(ViewOf(graph, "half").of == -1);    // from byte 80 on
  CHECK(ViewOf(graph, "column").of == -1);  // with others in between
  CHECK(ViewOf(graph, "turned").of == -1);
}

TEST_CASE("what callers place has no views but reshapes", "[graph]") {
  const std::string slice = " starts=[2,0,0] steps=[1,1,1] shape=[1,2,16]: f32[1,2,16]\n";
  const Graph of_input = Sliced("v = slice(x)" + slice + "e = exp(v): f32[1,2,16]\noutput e\n");
  CHECK(ViewOf(of_input, "v").of == -1);
  const Graph is_output = Sliced("v = slice(s)" + slice +
                                 "e = exp(s): f32[4,2,16]\n"
                                 "output v\noutput e\n");
  CHECK(ViewOf(is_output, "v").of == -1);
  const Graph becomes_output = Sliced("v = slice(s)" + slice +
                                      "e = exp(s): f32[4,2,16]\n"
                                      "r = reshape(v) shape=[32]: f32[32]\noutput r\noutput e\n");
  CHECK(ViewOf(becomes_output, "v").of == -1);
  CHECK(ViewOf(becomes_output, "r").of == 2);
  const Graph of_output = Sliced("v = slice(s)" + slice +
                                 "e = exp(v): f32[1,2,16]\n"
                                 "r = reshape(s) shape=[128]: f32[128]\noutput r\noutput e\n");
  CHECK(ViewOf(of_output, "v").of == -1);
}

TEST_CASE("of what is computed element by element for a part alone, only the part is", "[graph]") {
  const std::string tail =
      "v = slice(t) starts=[1,0] steps=[1,1] shape=[1,16]: f32[1,16]\n"
      "e = exp(v): f32[1,16]\n";
  const std::string head = "graph g\ninput x: f32[4,16]\nt = tanh(x): f32[4,16]\n";
  const Plan alone = MakePlan(Parsed(head + tail + "output e\n")).value();
  CHECK(alone.steps.size() == 1);
  CHECK(ViewOf(alone.graph, "v").of == -1);
  const Graph both = Parsed(head + tail + "m = softmax(t): f32[4,16]\noutput e\noutput m\n");
  CHECK(ViewOf(both, "v").of == 1);
}

TEST_CASE("equal kernels of parts are one task, which reads them where they are", "[graph]") {
  std::string text =
      "graph g\ninput x: f32[4,16]\ninput w: f32[16,16]\np = matmul(x, w): f32[4,16]\n";
  for (int i = 0; i < 4; ++i) {
    const std::string n = std::to_string(i);
    text += "v" + n + " = slice(p) starts=[" + n + ",0] steps=[1,1] shape=[1,16]: f32[1,16]\n" +
            "t" + n + " = tanh(v" + n + "): f32[1,16]\n";
  }
  text += "c = concat(t3, t1, t2, t0) axis=0: f32[4,16]\noutput c\n";
  const Graph graph = Parsed(text);
  const Plan plan = MakePlan(graph).value();
  const auto user = std::ranges::find(plan.tasks, 4, &Task::steps);
  CHECK(user != plan.tasks.end());
  const std::vector<TensorRef> inputs = SomeInputs(graph, 5);
  CHECK(RunPlan(plan, inputs) == Outputs(graph, inputs));
}

TEST_CASE("what a concatenation is of is computed where it belongs", "[graph]") {
  const Graph graph = Joined(
      "q = softmax(b): f32[1,2,16]\ns = reshape(q) shape=[1,1,32]: f32[1,1,32]\n"
      "r = reshape(a) shape=[1,1,32]: f32[1,1,32]\nc = concat(r, s) axis=1: f32[1,2,32]\n"
      "d = reduce_max(q) axes=[2] keep=1: f32[1,2,1]\ne = exp(c): f32[1,2,32]\n"
      "output e\noutput d\n");
  CHECK(PartOf(graph, "r").of >= 0);
  CHECK(PartOf(graph, "r").offset == 0);
  CHECK(PartOf(graph, "s").offset == 128);
  const Plan plan = MakePlan(graph).value();
  CHECK(plan.steps.size() == 5);   // none of them is the concatenation
  CHECK(plan.arena_bytes == 384);  // q is read where it is, beside b
  const std::vector<TensorRef> inputs = SomeInputs(graph, 3);
  CHECK(RunPlan(plan, inputs) == Outputs(graph, inputs));
}

TEST_CASE("concatenations are computed where a part can't lie in them", "[graph]") {
  const auto rejects = [](const std::string& rest) {
    const Graph graph = Joined(rest);
    INFO(Print(graph));
    const std::vector<View> parts = FindParts(graph);
    CHECK(std::ranges::count_if(parts, [](const View& part) { return part.of >= 0; }) == 0);
    const std::vector<TensorRef> inputs = SomeInputs(graph, 4);
    CHECK(RunPlan(MakePlan(graph).value(), inputs) == Outputs(graph, inputs));
  };
  const std::string end = "e = exp(c): f32[1,4,16]\noutput e\n";
  rejects("c = concat(a, x) axis=1: f32[1,4,16]\n" + end);  // an input
  rejects("c = concat(a, a) axis=1: f32[1,4,16]\n" + end);  // twice
  rejects("c = concat(a, b) axis=1: f32[1,4,16]\n" + end + "output b\n");
  rejects("c = concat(a, b) axis=1: f32[1,4,16]\noutput c\n");
  rejects("c = concat(a, b) axis=2: f32[1,2,32]\ne = exp(c): f32[1,2,32]\noutput e\n");
  rejects(
      "h = slice(b) starts=[0,0,0] steps=[1,1,1] shape=[1,1,8]: f32[1,1,8]\n"
      "t = softmax(h): f32[1,1,8]\nk = slice(a) starts=[0,1,0] steps=[1,1,1] shape=[1,1,8]: "
      "f32[1,1,8]\nu = softmax(k): f32[1,1,8]\nc = concat(t, u) axis=1: f32[1,2,8]\n"
      "e = exp(c): f32[1,2,8]\noutput e\n");  // from byte 32 on
}

TEST_CASE("a value is part of one concatenation, which may be part of another", "[graph]") {
  const Graph graph = Joined(
      "c = concat(a, b) axis=1: f32[1,4,16]\nd = softmax(x): f32[1,2,16]\n"
      "f = concat(c, d) axis=1: f32[1,6,16]\ng = concat(b, d) axis=1: f32[1,4,16]\n"
      "h = exp(f): f32[1,6,16]\ni = exp(g): f32[1,4,16]\noutput h\noutput i\n");
  CHECK(PartOf(graph, "b").offset == 128);
  CHECK(PartOf(graph, "c").of == PartOf(graph, "d").of);
  CHECK(PartOf(graph, "d").offset == 256);
  const std::vector<TensorRef> inputs = SomeInputs(graph, 6);
  const Plan plan = MakePlan(graph).value();
  CHECK(RunPlan(plan, inputs) == Outputs(graph, inputs));
}

TEST_CASE("blocks of channels follow each other, too", "[graph]") {
  const auto part_of = [](int64_t channels) {
    const std::string n = std::to_string(channels), sum = std::to_string(channels + 16);
    const auto blocked = [&](const std::string& extent) {
      return "f32[1," + extent + ",3] layout(0 1/16 2 1%16)\n";
    };
    const Graph graph =
        Parsed("graph g\ninput x: f32[1," + n + ",3]\ninput y: f32[1,16,3]\n" +
               "a = softmax(x): " + blocked(n) + "b = softmax(y): " + blocked("16") +
               "c = concat(a, b) axis=1: " + blocked(sum) + "e = softmax(c): f32[1," + sum +
               ",3]\noutput e\n");
    const std::vector<TensorRef> inputs = SomeInputs(graph, 8);
    CHECK(RunPlan(MakePlan(graph).value(), inputs) == Outputs(graph, inputs));
    return PartOf(graph, "b");
  };
  CHECK(part_of(32).of >= 0);
  CHECK(part_of(32).offset == 32 * 3 * 4);
  CHECK(part_of(24).of < 0);  // half a block is empty
}

}  // namespace tessera::graph
