#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>
#include <tuple>

#include "compiler/graph/layouts.h"
#include "compiler/ir/evaluate.h"
#include "compiler/ir/visitor.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/loop_structure.h"
#include "schedule_space/config_space.h"
#include "tests/compiler/graph/random_net.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/random_dag.h"
#include "tests/support/random_workload.h"
#include "tests/support/reference_check.h"
#include "tests/support/workloads.h"

namespace tessera::space {
namespace {

// Samples sketches of the workload's space and compares what the lowered program computes with the
// oracle. `isa` without a kind is x86.
void CheckSamples(const te::Workload& workload, std::string_view isa, int threads, uint64_t seed,
                  int samples, int64_t l2_bytes = 1 << 20, std::string_view sketches = "") {
  const bool has_kind = isa.find('/') != isa.npos;
  ir::Target target = *ir::ParseTarget(absl::StrCat(has_kind ? "" : "x86/", std::string(isa)));
  target.max_threads = threads;
  target.l2_bytes = l2_bytes;
  const absl::StatusOr<ConfigSpace> space = BuildSpace(workload, target, threads);
  REQUIRE(space.ok());
  const absl::StatusOr<te::Expected> expected = te::ComputeExpected(workload, seed);
  REQUIRE(expected.ok());
  CAPTURE(isa, sketches);
  REQUIRE(std::any_of(space->sketches().begin(), space->sketches().end(),
                      [&](const Sketch& sketch) { return sketch.name.find(sketches) == 0; }));
  Rng rng(seed);
  for (int i = 0; i < samples; ++i) {
    Config config = space->Sample(rng);
    while (space->sketches()[config[0]].name.find(sketches) != 0) config = space->Sample(rng);
    CAPTURE(seed, i, space->ToJson(config), schedule::Print(*space->ToTrace(config)));
    const absl::StatusOr<schedule::Schedule> schedule = space->ToSchedule(config);
    REQUIRE(schedule.ok());
    const auto replayed = schedule::ApplyTrace(workload.dag, *space->ToTrace(config));
    INFO(replayed.status());
    REQUIRE(replayed.ok());
    CHECK(schedule::LoopHash(*replayed, *schedule::InferBounds(*replayed)) ==
          schedule::LoopHash(*schedule, *schedule::InferBounds(*schedule)));
    const absl::StatusOr<te::Candidate> program = passes::LowerSchedule(*schedule);
    CAPTURE(std::string(program.status().message()));
    REQUIRE(program.ok());
    const absl::Status status =
        te::CheckAgainst(workload, *expected, *program,
                         [](const ir::Program& p, absl::Span<const absl::Span<std::byte>> buffers) {
                           return ir::Evaluate(p, buffers);
                         });
    CAPTURE(std::string(status.message()));
    CHECK(status.ok());
  }
}

void CheckSamples(const te::OpSpec& spec, std::string_view isa, int threads, uint64_t seed,
                  int samples, int64_t l2_bytes = 1 << 20, std::string_view sketches = "") {
  CAPTURE(te::ToText(spec));
  const absl::StatusOr<te::Workload> workload = te::MakeWorkload(spec);
  REQUIRE(workload.ok());
  CheckSamples(*workload, isa, threads, seed, samples, l2_bytes, sketches);
}

constexpr std::string_view kTargets[] = {
    "avx512", "sse4.2", "avx2", "avx512,vnni,bf16", "aarch64/neon,dotprod", "arm/neon"};

// `samples` of each of so many random operators and random definitions, on each target in turn.
void CheckRandom(uint64_t first_seed, uint64_t workloads, int samples) {
  for (uint64_t seed = first_seed; seed < first_seed + workloads; ++seed) {
    const std::string_view isa = kTargets[seed % std::size(kTargets)];
    const int threads = 1 + static_cast<int>(seed / 2 % 2);
    CheckSamples(te::RandomWorkload(Rng(seed).Fork("space")).Draw("random"), isa, threads, seed,
                 samples);
    const te::Workload dag = te::RandomDag(Rng(seed).Fork("space")).Draw();
    CAPTURE(te::Print(dag));
    CheckSamples(dag, isa, threads, seed, samples);
  }
}

te::Workload Parsed(std::string_view text) {
  const absl::StatusOr<te::Workload> workload = te::ParseWorkload(text);
  REQUIRE(workload.ok());
  return *workload;
}

TEST_CASE("sampled programs compute what the workload defines", "[space]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) CheckSamples(spec, "avx512", 1, 101, 4);
}

TEST_CASE("sampled programs for threads and narrow vectors compute the same", "[space]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CheckSamples(spec, "sse4.2", 2, 202, 2);
    CheckSamples(spec, "avx2", 3, 303, 2);
  }
}

TEST_CASE("sampled programs for AArch64 compute the same", "[space]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CheckSamples(spec, "aarch64/neon,dotprod", 2, 404, 2);
  }
}

TEST_CASE("sampled programs with streaming stores compute the same", "[space]") {
  CheckSamples({"wide_add", "add", {{"m", "5"}, {"n", "70"}}}, "avx512", 1, 707, 20, 16);
  CheckSamples({"wide_gelu", "gelu", {{"m", "8"}, {"n", "64"}}}, "avx2", 2, 808, 20, 16);
  CheckSamples({"sums", "matmul", {{"m", "6"}, {"n", "40"}, {"k", "32"}}}, "avx512", 2, 909, 20,
               16);
  CheckSamples({"sums_any",
                "conv2d",
                {{"ic", "8"},
                 {"oc", "20"},
                 {"size", "7"},
                 {"k", "3"},
                 {"pad", "1"},
                 {"bias", "true"},
                 {"layout", "any"},
                 {"algorithm", "direct"}}},
               "avx512", 1, 909, 20, 16);
}

TEST_CASE("tiles of several vectors that don't divide their axis compute the same", "[space]") {
  CheckSamples({"wide", "matmul", {{"m", "2"}, {"n", "80"}, {"k", "6"}}}, "avx512", 1, 505, 40);
  CheckSamples({"wide_conv",
                "conv2d",
                {{"ic", "3"},
                 {"oc", "80"},
                 {"size", "5"},
                 {"k", "3"},
                 {"pad", "1"},
                 {"relu", "true"},
                 {"layout", "any"}}},
               "avx512", 1, 606, 20);
}

TEST_CASE("operands packed inside of loops compute the same", "[space]") {
  uint64_t seed = 600;
  for (const std::string_view isa : kTargets) {
    for (const int threads : {1, 3}) {
      CheckSamples(
          {"panels", "batch_matmul", {{"batch", "3"}, {"m", "32"}, {"n", "64"}, {"k", "8"}}}, isa,
          threads, ++seed, 8, 1 << 20, "packed");
      CheckSamples(
          {"odd_panels", "batch_matmul", {{"batch", "2"}, {"m", "37"}, {"n", "53"}, {"k", "7"}}},
          isa, threads, ++seed, 8, 1 << 20, "packed");
      CheckSamples({"bias",
                    "matmul",
                    {{"m", "34"}, {"n", "70"}, {"k", "6"}, {"b", "input"}, {"bias", "true"}}},
                   isa, threads, ++seed, 8, 1 << 20, "packed");
    }
  }
}

TEST_CASE("rows longer than their vectors, and a row that threads share, compute the same",
          "[space]") {
  CheckSamples({"long_rows", "argmax", {{"m", "3"}, {"n", "1003"}}}, "avx512", 1, 707, 10);
  CheckSamples({"long_rows", "layer_norm", {{"m", "3"}, {"n", "777"}}}, "avx512", 1, 707, 20);
  CheckSamples({"long_rows", "softmax", {{"m", "3"}, {"n", "131"}}}, "avx2", 2, 707, 20);
  CheckSamples({"some_rows", "softmax", {{"m", "8"}, {"n", "40"}}}, "avx512", 2, 909, 30);
  CheckSamples({"some_rows", "layer_norm", {{"m", "12"}, {"n", "33"}}}, "avx2", 3, 909, 30);
  CheckSamples({"one_row", "reduce_sum", {{"m", "1"}, {"n", "20000"}}}, "avx512", 2, 808, 20);
  CheckSamples({"one_row", "norm2", {{"m", "1"}, {"n", "20001"}}}, "avx2", 3, 808, 30);
  CheckSamples({"one_row", "reduce_max", {{"m", "1"}, {"n", "16385"}}}, "sse4.2", 2, 808, 20);
}

TEST_CASE("products among stages that go along rows compute the same", "[space]") {
  const te::OpSpec scores = {
      "scores", "attention_scores", {{"n", "2"}, {"seq", "19"}, {"heads", "3"}, {"dim", "20"}}};
  const te::OpSpec cell = {"cell", "lstm_cell", {{"m", "3"}, {"input", "18"}, {"hidden", "21"}}};
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    CheckSamples(scores, "avx512", threads, 930, 8, 1 << 20, "products_blocked");
    CheckSamples(scores, "avx2", threads, 931, 8, 1 << 20, "products");
    CheckSamples(cell, "avx512", threads, 932, 8, 1 << 20, "products");
  }
}

TEST_CASE("one reduction along rows over products computes the same", "[space]") {
  const te::Workload workload = Parsed(
      "workload most\ninput Q: f32[2,24,16]\ninput K: f32[24,16]\n"
      "stage S: f32[b:2, i:24, j:24] = sum[k:16] (Q[b, i, k] * K[j, k])\n"
      "stage M: f32[n:2, m:24] = max[l:24] (S[n, m, l])\noutput M\n");
  for (const int threads : {1, 2}) {
    CheckSamples(workload, "avx512", threads, 950, 40, 1 << 20, "products_blocked");
  }
}

TEST_CASE("a product that is an output, too, is computed at the root", "[space]") {
  const te::Workload workload = Parsed(
      "workload both\ninput Q: f32[2,24,16]\ninput K: f32[24,16]\n"
      "stage S: f32[b:2, i:24, j:24] = sum[k:16] (Q[b, i, k] * K[j, k])\n"
      "stage M: f32[n:2, m:24] = max[l:24] (S[n, m, l])\noutput M, S\n");
  CheckSamples(workload, "avx512", 2, 960, 30, 1 << 20, "products");
}

te::OpSpec OddConvolution(const char* channels, const char* size, const char* layout,
                          const char* dtype) {
  return {"odd",
          "conv2d",
          {{"ic", channels},
           {"oc", channels},
           {"size", size},
           {"k", "3"},
           {"pad", "1"},
           {"dtype", dtype},
           {"layout", layout}}};
}

constexpr std::string_view kDotTargets[] = {"avx512,vnni,bf16", "avx512", "avx2", "sse4.2",
                                            "aarch64/neon,dotprod"};

TEST_CASE("sums by instructions compute the same where vectors end beyond their axis", "[space]") {
  for (const std::string_view isa : kDotTargets) {
    for (const char* layout : {"nchw", "nhwc"}) {
      CheckSamples(OddConvolution("7", "9", layout, "i8"), isa, 1, 981, 12, 1 << 20, "tensor");
      CheckSamples(OddConvolution("21", "5", layout, "i8"), isa, 2, 982, 6, 1 << 20, "tensor");
    }
  }
  CheckSamples(OddConvolution("21", "5", "nhwc", "bf16"), kDotTargets[0], 1, 983, 12, 1 << 20,
               "tensor");
  CheckSamples(OddConvolution("5", "19", "nchw", "bf16"), kDotTargets[0], 1, 984, 12, 1 << 20,
               "tensor");
}

TEST_CASE("vectors of instructions that end beyond their axis give no huge programs", "[space]") {
  const uint64_t seed = 980;
  for (const std::string_view isa : kDotTargets) {
    for (const char* layout : {"nchw", "nhwc"}) {
      CAPTURE(seed, isa, layout);
      const auto workload = te::MakeWorkload(OddConvolution("60", "57", layout, "i8"));
      REQUIRE(workload.ok());
      const bool has_kind = isa.find('/') != isa.npos;
      const ir::Target target =
          *ir::ParseTarget(absl::StrCat(has_kind ? "" : "x86/", std::string(isa)));
      const absl::StatusOr<ConfigSpace> space = BuildSpace(*workload, target, 1);
      REQUIRE(space.ok());
      Rng rng(seed);
      for (int i = 0; i < 40; ++i) {
        const Config config = space->Sample(rng);
        CAPTURE(schedule::Print(*space->ToTrace(config)));
        const auto schedule = space->ToSchedule(config);
        REQUIRE(schedule.ok());
        const absl::StatusOr<te::Candidate> program = passes::LowerSchedule(*schedule);
        REQUIRE(program.ok());
        int64_t stores = 0;
        ir::ForEach<ir::Store>(program->program.body, [&](const ir::Store&) { ++stores; });
        CHECK(stores < 800);
      }
    }
  }
}

TEST_CASE("programs of many products stay within what can be unrolled", "[space]") {
  const uint64_t seed = 970;
  CAPTURE(seed);
  for (const int products : {40, 150}) {
    CAPTURE(products);
    std::string text = "workload many\ninput A: f32[16,64]\ninput B: f32[32,64]\n", sum = "0.0";
    for (int i = 0; i < products; ++i) {
      absl::StrAppend(&text, "stage P", i, ": f32[m", i, ":16, n", i, ":32] = sum[k", i,
                      ":64] (A[m", i, ", k", i, "] * B[n", i, ", k", i, "])\n");
      absl::StrAppend(&sum, " + P", i, "[m, n]");
    }
    const te::Workload workload =
        Parsed(absl::StrCat(text, "stage Y: f32[m:16, n:32] = ", sum, "\noutput Y\n"));
    const absl::StatusOr<ir::Target> target = ir::X86Target("avx512");
    REQUIRE(target.ok());
    const absl::StatusOr<ConfigSpace> space = BuildSpace(workload, *target, 1);
    REQUIRE(space.ok());
    Rng rng(seed);
    for (int i = 0; i < 5; ++i) {
      const auto schedule = space->ToSchedule(space->Sample(rng));
      REQUIRE(schedule.ok());
      const auto loops = schedule::InferBounds(*schedule);
      REQUIRE(loops.ok());
      CHECK(passes::Lower(*schedule, *loops, "many").status() == absl::OkStatus());
    }
  }
}

// Vectors along the output's width take every stride-th position.
TEST_CASE("transposed convolutions of every stride compute the same", "[space]") {
  uint64_t seed = 700;
  for (const char* layout : {"nchw", "any"}) {
    for (const auto& [k, stride, pad] :
         {std::tuple{"4", "2", "1"}, {"3", "2", "1"}, {"5", "3", "2"}, {"2", "3", "0"}}) {
      CheckSamples({"transposed",
                    "t2d",
                    {{"ic", "3"},
                     {"oc", "3"},
                     {"h", "4"},
                     {"w", "11"},
                     {"k", k},
                     {"stride", stride},
                     {"pad", pad},
                     {"bias", "true"},
                     {"layout", layout}}},
                   "avx512", 1, ++seed, 12);
    }
  }
}

// Of extents that tiles of 2 and 4 don't divide.
te::OpSpec OddConvolution(const char* layout) {
  return {"winograd",
          "conv2d",
          {{"n", "2"},
           {"ic", "9"},
           {"oc", "17"},
           {"h", "7"},
           {"w", "6"},
           {"k", "3"},
           {"pad", "1"},
           {"bias", "true"},
           {"relu", "true"},
           {"layout", layout}}};
}

TEST_CASE("Winograd's algorithm computes the same at every edge", "[space]") {
  for (const char* layout : {"any", "nchw"}) {
    CheckSamples(OddConvolution(layout), "avx2", 2, 707, 8, 1 << 20, "winograd");
    CheckSamples({"winograd",
                  "conv2d",
                  {{"ic", "16"}, {"oc", "8"}, {"size", "7"}, {"k", "3"}, {"layout", layout}}},
                 "avx512", 1, 808, 6, 1 << 20, "winograd");
  }
}

TEST_CASE("Winograd's algorithm computes the same for every kind of window", "[space]") {
  const std::map<std::string, std::string> common = {{"ic", "16"}, {"oc", "16"}, {"w", "12"},
                                                     {"k", "3"},   {"pad", "1"}, {"bias", "true"}};
  const auto check = [&](const char* op, const std::map<std::string, std::string>& attributes,
                         uint64_t seed) {
    te::OpSpec spec{"windows", op, common};
    for (const auto& [name, value] : attributes) spec.attributes[name] = value;
    for (const int threads : {1, 2}) {
      CAPTURE(op, seed, threads);
      CheckSamples(spec, threads == 1 ? "avx512" : "avx2", threads, seed, 6, 1 << 20, "winograd");
    }
  };
  check("conv1d", {{"n", "2"}}, 920);
  check("conv1d", {{"k", "5"}, {"ic", "9"}}, 921);
  check("conv2d", {{"h", "9"}, {"groups", "2"}}, 922);
  check("conv2d", {{"h", "14"}, {"w", "14"}, {"dilation", "2"}}, 923);
  check("conv2d", {{"h", "13"}, {"w", "13"}, {"k", "7"}, {"stride", "2"}, {"ic", "3"}}, 924);
  check("conv2d", {{"h", "12"}, {"w", "8"}, {"kw", "1"}, {"kh", "3"}, {"pad", "0"}}, 925);
  check("conv3d", {{"d", "3"}, {"h", "6"}, {"w", "7"}, {"ic", "8"}, {"oc", "9"}}, 926);
  check("capsule_conv2d", {{"h", "6"}, {"w", "8"}, {"capsule", "2"}, {"ic", "8"}, {"oc", "8"}},
        927);
  check("t2d", {{"h", "8"}, {"w", "6"}, {"k", "4"}, {"stride", "2"}, {"ic", "9"}}, 928);
}

TEST_CASE("Winograd's algorithm of definitions that are no operator computes the same", "[space]") {
  // No batch, and one vector of channels and of filters: a single loop for threads to share.
  constexpr std::string_view kRow =
      "workload row\ninput X: f32[34,16]\nconst W: f32[3,16,16] free\n"
      "stage Y: f32[w:32, o:16] = sum[k:3, c:16] (X[w + k, c] * W[k, c, o])\noutput Y\n";
  // Axes with the names that the rewritten stages give theirs.
  constexpr std::string_view kNames =
      "workload names\ninput X: f32[2,17,17,8]\nconst W: f32[5,5,8,8] free\n"
      "stage Y: f32[e:2, pw:7, th:7, f:8] = sum[ph:5, x:5, tw:8] "
      "(X[e, 2*pw + ph, 2*th + x, tw] * W[ph, x, tw, f])\noutput Y\n";
  // Of some dimensions only a part is read.
  constexpr std::string_view kSlices =
      "workload slices\ninput X: f32[5,2,10,9,8]\nconst W: f32[3,9,8,3,3] free\n"
      "stage Y: f32[n:2, h:8, w:7, f:9] = sum[c:8, k:3, l:3] "
      "(X[2*n + 1, 1, h + k, w + l, c] * W[2, f, c, k, l])\noutput Y\n";
  for (const std::string_view text : {kRow, kNames, kSlices}) {
    const te::Workload workload = Parsed(text);
    CAPTURE(workload.name);
    for (const int threads : {1, 3}) {
      CheckSamples(workload, "avx512", threads, 940, 8, 1 << 20, "winograd");
    }
  }
}

TEST_CASE("Winograd's algorithm in blocks of tile rows computes the same", "[space]") {
  // V, M and U are 10, 20 and 22 KB in large tiles and 14, 26 and 10 KB in small ones.
  for (const auto& [sketch, l2_bytes] : {std::pair{"winograd4_rows1", 32000},
                                         {"winograd2_rows4", 32000},
                                         {"winograd2_rows2", 20500}}) {
    for (const int threads : {1, 2}) {
      CAPTURE(sketch, threads);
      CheckSamples(OddConvolution("any"), "avx2", threads, 909, 6, l2_bytes, sketch);
    }
  }
  CheckSamples({"winograd_blocks",
                "conv2d",
                {{"ic", "16"}, {"oc", "32"}, {"h", "24"}, {"w", "5"}, {"k", "3"}, {"pad", "1"}}},
               "avx512", 1, 910, 6, 105000, "winograd4_rows2");
}

// What each target has for sums of products of small numbers.
TEST_CASE("programs of tensor instructions compute the same", "[space]") {
  uint64_t seed = 1000;
  constexpr std::string_view kAll = "avx512,vnni,bf16";
  for (const std::string_view isa : {kAll, std::string_view("avx512"), std::string_view("avx2"),
                                     std::string_view("aarch64/neon,dotprod")}) {
    for (const std::string dtype : {"i8", "bf16"}) {
      if (dtype == "bf16" && isa != kAll) continue;
      // Signed bytes are not zero where they became unsigned.
      const std::string pad = dtype == "i8" && isa == kAll ? "0" : "1";
      const auto check = [&](te::OpSpec spec, std::string_view sketches = "tensor") {
        spec.attributes["dtype"] = dtype;
        ++seed;
        CheckSamples(spec, isa, 1 + static_cast<int>(seed % 2), seed, 6, 1 << 20, sketches);
      };
      check({"whole", "matmul", {{"m", "6"}, {"n", "32"}, {"k", "16"}}});
      check({"odd", "matmul", {{"m", "5"}, {"n", "37"}, {"k", "11"}, {"bias", "true"}}});
      check({"input", "matmul", {{"m", "7"}, {"n", "48"}, {"k", "13"}, {"b", "input"}}});
      check({"batch", "batch_matmul", {{"batch", "2"}, {"m", "5"}, {"n", "16"}, {"k", "8"}}});
      check({"dense", "dense", {{"m", "2"}, {"n", "16"}, {"k", "10"}, {"relu", "true"}}});
      for (const char* layout : {"any", "nchw", "nhwc"}) {
        check({"padded",
               "conv2d",
               {{"ic", "10"},
                {"oc", "24"},
                {"h", "6"},
                {"w", "17"},
                {"k", "3"},
                {"pad", "1"},
                {"bias", "true"},
                {"relu", "true"},
                {"layout", layout}}});
      }
      // Channels in whole groups are read where they lie; there padding is skipped.
      for (const char* layout : {"any", "nchwc8", "nhwc"}) {
        for (const char* stride : {"1", "2"}) {
          check({"unpadded",
                 "conv2d",
                 {{"ic", "24"},
                  {"oc", "24"},
                  {"h", "5"},
                  {"w", "7"},
                  {"k", "3"},
                  {"pad", pad},
                  {"stride", stride},
                  {"bias", "true"},
                  {"layout", layout}}},
                "tensor_direct");
        }
      }
      check({"strided",
             "conv2d",
             {{"ic", "3"},
              {"oc", "16"},
              {"size", "9"},
              {"k", "3"},
              {"stride", "2"},
              {"layout", "any"}}});
      check({"grouped",
             "conv2d",
             {{"ic", "8"},
              {"oc", "32"},
              {"size", "5"},
              {"k", "3"},
              {"groups", "2"},
              {"layout", "any"}}});
      check({"line", "conv1d", {{"ic", "6"}, {"oc", "16"}, {"w", "20"}, {"k", "3"}, {"pad", "1"}}});
    }
  }
}

TEST_CASE("an axis named like that of groups is told from it", "[space]") {
  const te::Workload workload = Parsed(
      "workload names\ninput X: i8[6,16]\nconst W: i8[16,16] free\n"
      "stage Y: i32[k_g:6, o:16] = sum[k:16] (cast(i32, X[k_g, k]) * cast(i32, W[k, o]))\n"
      "output Y\n");
  CheckSamples(workload, "avx512,vnni", 1, 970, 6, 1 << 20, "tensor");
}

TEST_CASE("kernels that read one layout and write another compute the same", "[space]") {
  const uint64_t seed = 5;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  // Any layout is as good as another: by chance.
  const graph::KnownSeconds any = [](const te::Workload& workload) {
    return std::optional(static_cast<double>(te::StructuralHash(workload.dag) % 1000));
  };
  for (int i = 0; i < 6; ++i) {
    const ir::Target target = *ir::X86Target(i % 2 == 0 ? "sse4.2" : "avx2");
    const auto plan = graph::PlanModel(graph::RandomNet(random, 8), target, any);
    REQUIRE(plan.ok());
    for (const graph::Task& task : plan->tasks) {
      CAPTURE(te::Print(task.workload));
      CheckSamples(task.workload, i % 3 == 0 ? "avx512" : "sse4.2", 1 + i % 2, seed, 2);
    }
  }
}

TEST_CASE("sampled programs of random workloads and definitions compute the same", "[space]") {
  CheckRandom(0, 120, 3);
}

TEST_CASE("many sampled programs agree with the evaluator", "[.nightly]") {
  for (const te::OpSpec& spec : te::TestWorkloads()) CheckSamples(spec, "avx512", 2, 404, 60);
  CheckRandom(1'000'000, 2000, 5);
}

}  // namespace
}  // namespace tessera::space
