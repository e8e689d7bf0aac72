#include "compiler/schedule/external.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/external_convolution.h"
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
      Parse("stage C: f32[i:8, j:6] = sum[k:4] (B[k, j] * A[i, k])").dag.stages[0], "openblas");
  REQUIRE(found.ok());
  CHECK(found->a->buffer->name == "A");
  CHECK((!found->transposes_a && !found->transposes_b));
  const auto transposed = FindMatrixProduct(
      Parse("stage C: f32[i:6, j:8] = sum[k:4] (B[k, i] * A[j, k])").dag.stages[0], "openblas");
  REQUIRE(transposed.ok());
  CHECK(transposed->a->buffer->name == "B");
  CHECK((transposed->transposes_a && transposed->transposes_b));
  const auto message = [](const std::string& stage) {
    return std::string(
        FindMatrixProduct(Parse(stage).dag.stages[0], "openblas").status().message());
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
  CHECK_THAT(std::string(FindMatrixProduct(i8.dag.stages[0], "openblas").status().message()),
             Catch::Contains("multiplies i8 and i8 for i32; openblas multiplies f32 alone"));
  const auto integers = FindMatrixProduct(i8.dag.stages[0], "onednn");
  REQUIRE(integers.ok());
  CHECK(integers->a->type == ir::Int(8));
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
             Catch::Contains("no stage is what openblas computes"));
  const te::Workload square = Make("matmul", {{"m", "8"}, {"n", "8"}, {"k", "8"}});
  const ir::Target gpu = ir::ParseTarget("cuda/sm_80").value();
  CHECK_THAT(std::string(ExternalTrace(square.dag, gpu, "openblas").status().message()),
             Catch::Contains("libraries are for CPUs"));
}

TEST_CASE("sums of integers are a library's where it adds them exactly", "[schedule]") {
  const te::Workload i8 =
      Make("matmul", {{"m", "16"}, {"n", "16"}, {"k", "8"}, {"dtype", "i8"}, {"relu", "true"}});
  const auto on = [&](const te::Workload& workload, const char* target, const char* provider) {
    return ExternalTrace(workload.dag, ir::ParseTarget(target).value(), provider);
  };
  CHECK_THAT(Print(on(i8, "x86/avx512,vnni", "onednn").value()),
             Catch::Contains("external matmul onednn\n"));
  CHECK_FALSE(on(i8, "x86/avx512", "onednn").ok());
  CHECK_FALSE(on(i8, "x86/avx512,vnni", "openblas").ok());
  const te::Workload f32 = Make("matmul", {{"m", "16"}, {"n", "16"}, {"k", "8"}});
  CHECK(on(f32, "x86/sse4.2", "onednn").ok());
  CHECK_FALSE(on(f32, "aarch64/neon", "onednn").ok());
  CHECK(on(f32, "aarch64/neon", "openblas").ok());
}

TEST_CASE("convolutions are known by their definition", "[schedule]") {
  const auto find = [](const te::Workload& workload) {
    for (const auto& stage : workload.dag.stages) {
      if (stage.is_reduction()) return FindConvolution(stage, "onednn");
    }
    return FindConvolution(workload.dag.stages[0], "onednn");
  };
  const auto message = [&](const te::Workload& workload) {
    return std::string(find(workload).status().message());
  };
  const std::map<std::string, std::string> size = {
      {"h", "10"}, {"w", "12"}, {"kh", "3"}, {"kw", "5"}, {"pad", "2"}};
  const auto with = [&](std::map<std::string, std::string> more) {
    more.insert(size.begin(), size.end());
    return more;
  };
  const auto found =
      find(Make("conv2d", with({{"ic", "4"}, {"oc", "6"}, {"stride", "2"}, {"dilation", "2"}})));
  REQUIRE(found.ok());
  CHECK_FALSE(found->by_channel);
  CHECK(found->channels == 4);
  CHECK(found->filters == 6);
  CHECK((found->kernel[0] == 3 && found->kernel[1] == 5));
  CHECK((found->stride[0] == 2 && found->dilation[1] == 2));
  CHECK(found->weights->name == "W");
  CHECK(find(Make("depthwise_conv2d", with({{"c", "4"}})))->by_channel);
  CHECK(find(Make("conv2d", with({{"ic", "4"}, {"oc", "6"}, {"groups", "2"}})))->channels == 2);
  CHECK_FALSE(find(Make("depthwise_conv2d", with({{"c", "4"}, {"multiplier", "2"}}))).ok());
  CHECK_THAT(message(Make("conv2d", with({{"ic", "4"}, {"oc", "6"}, {"dtype", "i8"}}))),
             Catch::Contains("a library convolves f32 in two dimensions"));
  CHECK_FALSE(find(Make("t2d", {{"ic", "4"},
                                {"oc", "4"},
                                {"h", "5"},
                                {"w", "5"},
                                {"kh", "3"},
                                {"kw", "3"},
                                {"stride", "2"},
                                {"pad", "1"}}))
                  .ok());
  CHECK_FALSE(
      find(Make("max_pool2d",
                {{"c", "4"}, {"h", "8"}, {"w", "8"}, {"kh", "2"}, {"kw", "2"}, {"stride", "2"}}))
          .ok());
  for (const char* weights : {"8,4,5,5", "8,6,3,3", "9,4,3,3"}) {
    const auto part =
        te::ParseWorkload(absl::StrCat("workload w\ninput D: f32[1,4,6,6]\ninput W: f32[", weights,
                                       "]\nstage C: f32[n:1, f:8, y:4, x:4] = sum[c:4, i:3, j:3] "
                                       "(D[n, c, y + i, x + j] * W[f, c, i, j])\noutput C\n"));
    INFO(part.status());
    REQUIRE(part.ok());
    CHECK_THAT(message(*part),
               Catch::Contains(absl::StrCat("reads [8,4,3,3] of weights of [", weights, "]")));
  }
  const te::Workload conv = Make("conv2d", with({{"ic", "4"}, {"oc", "6"}}));
  CHECK_FALSE(FindConvolution(conv.dag.stages[1], "openblas").ok());
}

TEST_CASE("channels of convolutions are stored in blocks where they fill some", "[schedule]") {
  const auto text = [](std::map<std::string, std::string> attributes, const char* isa,
                       int threads) {
    attributes.insert({{"h", "8"}, {"w", "8"}, {"kh", "3"}, {"kw", "3"}, {"pad", "1"}});
    ir::Target target = ir::X86Target(isa).value();
    target.max_threads = threads;
    return Print(ExternalTrace(Make("conv2d", attributes).dag, target, "onednn").value());
  };
  const std::string blocks = text({{"ic", "32"}, {"oc", "64"}, {"relu", "true"}}, "avx512", 1);
  CHECK_THAT(blocks, Catch::Contains("layout conv 0 1/16 2 3 1%16\n") &&
                         Catch::Contains("layout W 0/16 1/16 2 3 1%16 0%16\n") &&
                         Catch::Contains("layout pad 0 1/16 2 3 1%16\n") &&
                         Catch::Contains("external conv onednn\n"));
  CHECK_THAT(text({{"ic", "32"}, {"oc", "64"}}, "avx2", 2),
             Catch::Contains("layout W 0/8 1/8 2 3 1%8 0%8\n") &&
                 Catch::Contains("split conv.local oc 32\n") &&
                 Catch::Contains("parallel conv.local n+oc.0\n"));
  CHECK_THAT(text({{"ic", "3"}, {"oc", "64"}}, "avx512", 1),
             Catch::Contains("layout W 0/16 2 3 1 0%16\n") && !Catch::Contains("layout pad"));
  CHECK_THAT(text({{"ic", "3"}, {"oc", "5"}}, "avx512", 1), !Catch::Contains("layout"));
}

TEST_CASE("calls of convolutions are refused where loops or layouts are in their way",
          "[schedule]") {
  const te::Workload conv = Make("conv2d", {{"ic", "16"},
                                            {"oc", "32"},
                                            {"h", "8"},
                                            {"w", "8"},
                                            {"kh", "3"},
                                            {"kw", "3"},
                                            {"pad", "1"},
                                            {"relu", "true"}});
  const auto message = [&](const std::string& steps) {
    return std::string(Bind(conv.dag, steps).message());
  };
  const std::string call = "external conv onednn\n";
  const std::string blocks =
      "layout pad 0 1/16 2 3 1%16\nlayout W 0/16 1/16 2 3 1%16 0%16\nlayout conv 0 1/16 2 3 1%16\n";
  CHECK(Bind(conv.dag, call).ok());
  CHECK(Bind(conv.dag, blocks + call).ok());
  CHECK(Bind(conv.dag, blocks + "split conv oc 16\n" + call).ok());
  CHECK_THAT(message(blocks + "split conv oc 8\n" + call), Catch::Contains("cuts a block of 16"));
  CHECK_THAT(message("external conv openblas\n"), Catch::Contains("is no product of matrices"));
  CHECK_THAT(message("layout conv 0 1/16 2 3 1%16\n" + call),
             Catch::Contains("external conv: data, weights and result are stored in no form"));
  CHECK_THAT(message("split conv ow 4\n" + call), Catch::Contains("all but filters whole"));
  CHECK_THAT(message("reorder conv n oc oh ow kh kw ic\n" + call), Catch::Contains("in order"));
  CHECK_FALSE(Bind(conv.dag, "inline pad\n" + call).ok());
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
             Catch::Contains("no library blis; known are openblas or onednn"));
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
