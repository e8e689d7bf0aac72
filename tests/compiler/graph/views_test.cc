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

}  // namespace tessera::graph
