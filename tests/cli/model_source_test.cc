#include "cli/model_source.h"

#include <memory>

#include "tests/compiler/graph/run.h"

namespace tessera::cli {

TEST_CASE("a model's tasks are those of the job's target", "[cli]") {
  JobFile file;
  file.name = "net";
  file.model = std::make_shared<const graph::Graph>(
      graph::Parsed("graph net\ninput x: f32[1,16,32,32]\n"
                    "first = max_pool(x) kernel=[3,3]: f32[1,16,30,30]\n"
                    "second = max_pool(first) kernel=[3,3]: f32[1,16,28,28]\n"
                    "third = max_pool(second) kernel=[3,3]: f32[1,16,26,26]\n"
                    "mean = reduce_mean(third) axes=[2,3]: f32[1,16,1,1]\noutput mean\n"));
  const auto layout_of_second = [&](const char* target) {
    REQUIRE(PlanFor(file, ir::ParseTarget(target).value()).ok());
    REQUIRE(file.operators.size() == 4);
    CHECK(file.operators[1].spec.name == "second");
    const ir::BufferNode& made = *file.operators[1].workload.dag.outputs[0];
    return made.layout.empty() ? "" : ir::LayoutToString(made.layout, made.shape);
  };
  CHECK(layout_of_second("x86/avx512") == "0 1/16 2 3 1%16");
  CHECK(layout_of_second("x86/avx2") == "0 1/8 2 3 1%8");
  CHECK(layout_of_second("cuda/sm_80") == "");
  // What is no model has the operators that it names.
  JobFile other;
  CHECK(PlanFor(other, ir::ParseTarget("x86/avx2").value()).ok());
  CHECK(other.operators.empty());
}

}  // namespace tessera::cli
