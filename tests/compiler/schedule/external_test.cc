#include "compiler/schedule/external.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "compiler/schedule/default_trace.h"
#include "compiler/te/operators.h"
#include "tests/support/workloads.h"

namespace tessera::schedule {
namespace {

te::Workload Make(const char* op, std::map<std::string, std::string> attributes) {
  return te::MakeWorkload({"w", op, std::move(attributes)}).value();
}

te::Workload Parse(const std::string& stage) {
  return te::ParseWorkload("workload w\ninput A: f32[8,4]\ninput B: f32[4,6]\n" + stage +
                           "\noutput C\n")
      .value();
}

absl::Status Bind(const te::Dag& dag, const std::string& steps) {
  const auto schedule = ApplyTrace(dag, ParseTrace("trace 1\n" + steps).value());
  if (!schedule.ok()) return schedule.status();
  return InferBounds(*schedule).status();
}

ir::Target Cpu(int threads) {
  ir::Target target = ir::X86Target("avx2").value();
  target.max_threads = threads;
  return target;
}

TEST_CASE("products of matrices are known by their definition", "[schedule]") {
  const auto found = FindMatrixProduct(
      Parse("stage C: f32[i:8, j:6] = sum[k:4] (B[k, j] * A[i, k])").dag.stages[0]);
  REQUIRE(found.ok());
  CHECK(found->a->buffer->name == "A");
  CHECK((!found->transposes_a && !found->transposes_b));
  const auto transposed = FindMatrixProduct(
      Parse("stage C: f32[i:6, j:8] = sum[k:4] (B[k, i] * A[j, k])").dag.stages[0]);
  REQUIRE(transposed.ok());
  CHECK(transposed->a->buffer->name == "B");
  CHECK((transposed->transposes_a && transposed->transposes_b));
  const auto message = [](const std::string& stage) {
    return std::string(FindMatrixProduct(Parse(stage).dag.stages[0]).status().message());
  };
  CHECK_THAT(message("stage C: f32[i:8, j:6] = max[k:4] (A[i, k] * B[k, j])"),
             Catch::Contains("is no sum over one axis"));
  CHECK_THAT(message("stage C: f32[i:8, j:6] = sum[k:4] (A[i, k] + B[k, j])"),
             Catch::Contains("is no product"));
  CHECK_THAT(message("stage C: f32[i:8, j:6] = sum[k:3] (A[i, k + 1] * B[k, j])"),
             Catch::Contains("whose last two dimensions are not axes alone"));
  CHECK_THAT(message("stage C: f32[i:8, j:4] = sum[k:4] (A[i, k] * A[i, j])"),
             Catch::Contains("has an operand with rows and columns"));
  const te::Workload i8 = Make("matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}, {"dtype", "i8"}});
  CHECK_FALSE(FindMatrixProduct(i8.dag.stages[0]).ok());
}

TEST_CASE("external traces call a library once a matrix, or once a thread", "[schedule]") {
  const auto text = [](const te::Workload& workload, int threads) {
    return Print(ExternalTrace(workload.dag, Cpu(threads), "openblas").value());
  };
  const te::Workload square = Make("matmul", {{"m", "64"}, {"n", "48"}, {"k", "32"}});
  CHECK(text(square, 1) == "trace 1\nreorder matmul m n k\nexternal matmul openblas\n");
  CHECK(text(square, 2) ==
        "trace 1\nsplit matmul m 32\nreorder matmul m.0 m.1 n k\nparallel matmul m.0\n"
        "external matmul openblas\n");
  const te::Workload row = Make("dense", {{"m", "1"}, {"n", "96"}, {"k", "32"}});
  CHECK(text(row, 3) ==
        "trace 1\nsplit matmul n 32\nreorder matmul n.0 m n.1 k\nparallel matmul n.0\n"
        "external matmul openblas\n");
  const te::Workload batch =
      Make("batch_matmul", {{"batch", "2"}, {"m", "16"}, {"n", "8"}, {"k", "8"}});
  CHECK(text(batch, 4) ==
        "trace 1\nsplit matmul m 8\nreorder matmul b m.0 m.1 n k\nfuse matmul b m.0\n"
        "parallel matmul b+m.0\nexternal matmul openblas\n");
}

TEST_CASE("what no library computes has no external trace", "[schedule]") {
  const te::Workload relu = Make("relu", {{"m", "8"}, {"n", "8"}});
  CHECK_THAT(std::string(ExternalTrace(relu.dag, Cpu(1), "openblas").status().message()),
             Catch::Contains("no stage is a product"));
  const te::Workload square = Make("matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}});
  const ir::Target gpu = ir::ParseTarget("cuda/sm_80").value();
  CHECK_THAT(std::string(ExternalTrace(square.dag, gpu, "openblas").status().message()),
             Catch::Contains("libraries are for CPUs"));
}

TEST_CASE("a call is refused where loops or layouts are in its way", "[schedule]") {
  const te::Workload relu =
      Make("matmul", {{"m", "16"}, {"n", "16"}, {"k", "16"}, {"relu", "true"}});
  const auto message = [&](const std::string& steps) {
    return std::string(Bind(relu.dag, steps).message());
  };
  const std::string call = "external matmul openblas\n";
  CHECK(Bind(relu.dag, call).ok());
  CHECK(Bind(relu.dag, call + "split matmul m 4\nreorder matmul m.0 m.1 n k\n").ok());
  CHECK_THAT(message("external matmul blis\n"),
             Catch::Contains("no library blis; known are openblas"));
  CHECK_THAT(message(call + call), Catch::Contains("is external already"));
  CHECK_THAT(message("external relu openblas\n"), Catch::Contains("is no sum"));
  CHECK_THAT(message(call + "reorder matmul k m n\n"),
             Catch::Contains("external matmul: its innermost loops have to be rows, columns"));
  CHECK_THAT(message(call + "vectorize matmul k\n"), Catch::Contains("its innermost loops"));
  CHECK_THAT(message(call + "split matmul k 4\nreorder matmul k.0 m n k.1\n"),
             Catch::Contains("a call adds all terms"));
  CHECK_THAT(message(call + "split matmul m 5\n"), Catch::Contains("choose factors that divide"));
  CHECK_THAT(message(call + "split matmul m 4\nunroll matmul m.0\n"),
             Catch::Contains("in order or parallel"));
  CHECK_THAT(message(call + "layout matmul 1 0\n"), Catch::Contains("matmul has a layout"));
  CHECK_THAT(message(call + "layout B 1 0\n"), Catch::Contains("B has a layout"));
  CHECK_THAT(message(call + "compute_at matmul relu m\n"), Catch::Contains("at the root"));
  CHECK_THAT(message(call + "prefetch matmul 2\n"), Catch::Contains("are for loops"));
  CHECK_THAT(message(call + "cache_write matmul\n"),
             Catch::Contains("must come before the stage's loops are changed"));
  CHECK_THAT(
      message("cache_read A matmul\nexternal matmul openblas\ncompute_at matmul.A matmul m\n"),
      Catch::Contains("nothing is computed inside of a call"));
}

TEST_CASE("a call is another program than the loops that it stands for", "[schedule]") {
  const te::Workload square = Make("matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}});
  const auto hash = [&](const std::string& steps) {
    const Schedule schedule =
        ApplyTrace(square.dag, ParseTrace("trace 1\n" + steps).value()).value();
    return LoopHash(schedule, InferBounds(schedule).value());
  };
  CHECK(hash("") != hash("external matmul openblas\n"));
  const Schedule called =
      ApplyTrace(square.dag, ParseTrace("trace 1\nexternal matmul openblas\n").value()).value();
  CHECK(ProvidersOf(called) == std::vector<std::string>{"openblas"});
  CHECK(ProvidersOf(Schedule(square.dag)).empty());
}

}  // namespace
}  // namespace tessera::schedule
