#include "compiler/codegen/gpu/opencl.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/ir/parse.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/run_opencl.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::codegen::gpu {
namespace {

ir::Target Target() { return ir::ParseTarget("opencl").value(); }

absl::Status RunHere(const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  return RunOpenCl(program, Target(), buffers);
}

// Of a device with a little constant memory, and images.
ir::Target Reader() { return ir::ParseTarget("opencl constant=4096 texels=65536").value(); }

bool HasImages() {
  const std::optional<opencl::DeviceInfo> device = FindOpenClTestDevice();
  return device.has_value() && device->image_texels > 0;
}

absl::Status ReadHere(const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  return RunOpenCl(program, Reader(), buffers);
}

TEST_CASE("a product of shared tiles is right on an OpenCL device", "[opencl]") {
  const te::Workload workload =
      te::MakeWorkload({"c",
                        "matmul",
                        {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}})
          .value();
  const auto candidate = passes::LowerTrace(workload, schedule::ParseTrace(kSharedProduct).value());
  REQUIRE(candidate.ok());
  const auto code = GenerateOpenCl({candidate->program}, Target());
  REQUIRE(code.ok());
  INFO(code->source);
  REQUIRE(code->launches[0].size() == 1);
  CHECK(code->launches[0][0].blocks == std::array<int64_t, 3>{6, 1, 1});
  CHECK(code->launches[0][0].block_threads == std::array<int64_t, 3>{32, 1, 1});
  CHECK(code->launches[0][0].arguments == std::vector<Argument>{{0}, {1}, {2}});
  if (!FindOpenClTestDevice()) return;
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
}

TEST_CASE("default schedules of all operators are right on an OpenCL device", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CAPTURE(spec.name, spec.op);
    const te::Workload workload = te::MakeWorkload(spec).value();
    const auto trace = schedule::DefaultTrace(workload.dag, Target());
    REQUIRE(trace.ok());
    CAPTURE(schedule::Print(*trace));
    const auto candidate = passes::LowerTrace(workload, *trace);
    REQUIRE(candidate.ok());
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
    CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
  }
}

// The lowered programs of `count` configs, drawn at random from sketches whose name begins so.
void CheckConfigs(const te::OpSpec& spec, int count, uint64_t seed, bool on_device,
                  std::string_view sketch = "") {
  CAPTURE(spec.name, spec.op, seed);
  const te::Workload workload = te::MakeWorkload(spec).value();
  const auto space = space::BuildSpace(workload, Target(), 1);
  REQUIRE(space.ok());
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  const auto is_wanted = [&](const space::Sketch& one) { return one.name.starts_with(sketch); };
  CAPTURE(sketch);
  REQUIRE(std::ranges::any_of(space->sketches(), is_wanted));
  Rng rng(seed);
  for (int i = 0; i < count; ++i) {
    space::Config config = space->Sample(rng);
    while (!is_wanted(space->sketches()[config[0]])) config = space->Sample(rng);
    CAPTURE(space->ToJson(config));
    CHECK(space->Validate(config) == absl::OkStatus());
    const auto trace = space->ToTrace(config);
    REQUIRE(trace.ok());
    CAPTURE(schedule::Print(*trace));
    const auto candidate = passes::LowerTrace(workload, *trace);
    INFO(candidate.status());
    REQUIRE(candidate.ok());
    CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
    if (!on_device) continue;
    CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
  }
}

TEST_CASE("programs of the space keep to the limits of a GPU and are distinct", "[opencl]") {
  const uint64_t seed = 5;
  CAPTURE(seed);
  Rng rng(seed);
  const ir::Target small = ir::ParseTarget("opencl/fp16 block=128 shared=16384").value();
  for (const te::OpSpec& spec :
       {te::OpSpec{"mm", "matmul", {{"m", "512"}, {"n", "512"}, {"k", "500"}}},
        te::OpSpec{"c2",
                   "conv2d",
                   {{"ic", "64"}, {"oc", "64"}, {"size", "56"}, {"k", "3"}, {"relu", "true"}}},
        te::OpSpec{
            "c3", "conv3d", {{"ic", "16"}, {"oc", "16"}, {"d", "8"}, {"size", "28"}, {"k", "3"}}},
        te::OpSpec{"dw", "depthwise_conv2d", {{"c", "96"}, {"size", "30"}, {"k", "3"}}},
        te::OpSpec{"mv", "dense", {{"n", "1000"}, {"k", "1030"}, {"bias", "true"}}},
        te::OpSpec{"sum", "reduce_sum", {{"m", "60"}, {"n", "3000"}}},
        te::OpSpec{"norm", "norm2", {{"n", "100000"}}},
        te::OpSpec{"pool", "global_avg_pool", {{"c", "512"}, {"size", "7"}}},
        te::OpSpec{"sm", "softmax", {{"m", "100"}, {"n", "1000"}}}}) {
    CAPTURE(spec.name);
    const auto workload = te::MakeWorkload(spec);
    INFO(workload.status());
    REQUIRE(workload.ok());
    const auto space = space::BuildSpace(*workload, small, 1);
    REQUIRE(space.ok());
    std::map<uint64_t, std::string> hashes;
    std::set<std::string> configs;
    std::string twins;
    for (int i = 0; i < 200; ++i) {
      const space::Config config = space->Sample(rng);
      CAPTURE(space->ToJson(config));
      configs.insert(space->ToJson(config));
      const auto schedule = space->ToSchedule(config);
      REQUIRE(schedule.ok());
      const auto loops = schedule::InferBounds(*schedule);
      REQUIRE(loops.ok());
      const auto [first, is_new] =
          hashes.try_emplace(schedule::LoopHash(*schedule, *loops), space->ToJson(config));
      if (!is_new && first->second != space->ToJson(config)) {
        absl::StrAppend(&twins, first->second, " ", space->ToJson(config), "\n");
      }
      const auto program = passes::Lower(*schedule, *loops, "kernel");
      INFO(program.status());
      REQUIRE(program.ok());
      const auto code = GenerateOpenCl({*program}, small);
      INFO(code.status());
      REQUIRE(code.ok());
    }
    CAPTURE(twins);
    CHECK(static_cast<double>(hashes.size()) >= 0.99 * static_cast<double>(configs.size()));
  }
}

// ResNet-18's convolutions, MobileNet's depthwise ones, BERT's products and what is around them.
std::vector<te::OpSpec> FullSizes() {
  std::vector<te::OpSpec> specs;
  const auto add_convolution = [&](const char* name, const char* op, int size, int ic, int oc,
                                   int k, int stride) {
    te::OpSpec spec{name, op, {{"bias", "true"}, {"relu", "true"}}};
    const bool is_depthwise = oc == 0;
    for (const auto& [key, value] :
         {std::pair("size", size), std::pair(is_depthwise ? "c" : "ic", ic), std::pair("k", k),
          std::pair("stride", stride), std::pair("pad", k / 2)}) {
      spec.attributes[key] = std::to_string(value);
    }
    if (!is_depthwise) spec.attributes["oc"] = std::to_string(oc);
    specs.push_back(std::move(spec));
  };
  add_convolution("C1", "conv2d", 224, 3, 64, 7, 2);
  add_convolution("C3", "conv2d", 56, 64, 64, 1, 1);
  add_convolution("C4", "conv2d", 56, 64, 128, 3, 2);
  add_convolution("C5", "conv2d", 56, 64, 128, 1, 2);
  add_convolution("C6", "conv2d", 28, 128, 128, 3, 1);
  add_convolution("C7", "conv2d", 28, 128, 256, 3, 2);
  add_convolution("C8", "conv2d", 28, 128, 256, 1, 2);
  add_convolution("C9", "conv2d", 14, 256, 256, 3, 1);
  add_convolution("C10", "conv2d", 14, 256, 512, 3, 2);
  add_convolution("C11", "conv2d", 14, 256, 512, 1, 2);
  add_convolution("C12", "conv2d", 7, 512, 512, 3, 1);
  add_convolution("D1", "depthwise_conv2d", 112, 32, 0, 3, 1);
  add_convolution("D9", "depthwise_conv2d", 7, 1024, 0, 3, 1);
  specs.push_back({"ffn", "matmul", {{"m", "128"}, {"n", "3072"}, {"k", "768"}, {"bias", "true"}}});
  specs.push_back(
      {"scores", "batch_matmul", {{"batch", "12"}, {"m", "128"}, {"n", "128"}, {"k", "64"}}});
  specs.push_back({"softmax", "softmax", {{"m", "1536"}, {"n", "128"}}});
  specs.push_back({"norm", "layer_norm", {{"m", "128"}, {"n", "768"}}});
  specs.push_back({"gelu", "gelu", {{"m", "128"}, {"n", "3072"}}});
  specs.push_back({"all", "reduce_sum", {{"m", "1"}, {"n", "1000003"}}});
  return specs;
}

TEST_CASE("kernels of whole networks keep to the limits of a GPU", "[opencl]") {
  const uint64_t seed = 6;
  CAPTURE(seed);
  Rng rng(seed);
  for (const te::OpSpec& spec : FullSizes()) {
    CAPTURE(spec.name);
    const te::Workload workload = te::MakeWorkload(spec).value();
    const auto space = space::BuildSpace(workload, Target(), 1);
    REQUIRE(space.ok());
    for (int i = 0; i < 20; ++i) {
      const space::Config config = space->Sample(rng);
      CAPTURE(space->ToJson(config));
      const auto candidate = passes::LowerSchedule(space->ToSchedule(config).value());
      INFO(candidate.status());
      REQUIRE(candidate.ok());
      CHECK(GenerateOpenCl({candidate->program}, Target()).status() == absl::OkStatus());
    }
  }
}

TEST_CASE("GPUs of few threads have spaces and default schedules", "[opencl]") {
  for (const char* text :
       {"opencl block=1 shared=1", "opencl block=8", "opencl block=12 shared=64"}) {
    CAPTURE(text);
    const ir::Target target = ir::ParseTarget(text).value();
    for (const te::OpSpec& spec : te::TestWorkloads()) {
      CAPTURE(spec.name);
      const te::Workload workload = te::MakeWorkload(spec).value();
      const auto space = space::BuildSpace(workload, target, 1);
      REQUIRE(space.ok());
      Rng rng(1);
      const auto drawn = space->ToTrace(space->Sample(rng));
      REQUIRE(drawn.ok());
      for (const auto& trace : {*drawn, schedule::DefaultTrace(workload.dag, target).value()}) {
        const auto candidate = passes::LowerTrace(workload, trace);
        REQUIRE(candidate.ok());
        const auto code = GenerateOpenCl({candidate->program}, target);
        INFO(code.status());
        CHECK(code.ok());
      }
    }
  }
}

TEST_CASE("sums that the threads of a block share are right", "[opencl]") {
  const bool on_device = FindOpenClTestDevice().has_value();
  uint64_t seed = 100;
  const auto check = [&](const te::OpSpec& spec, std::string_view sketch) {
    CheckConfigs(spec, 6, seed++, on_device, sketch);
  };
  check({"rows", "reduce_sum", {{"m", "7"}, {"n", "333"}}}, "sums");
  check({"columns", "reduce_max", {{"m", "130"}, {"n", "21"}, {"axis", "0"}}}, "sums");
  check({"mean", "reduce_mean", {{"m", "3"}, {"n", "517"}}}, "sums_parts2");
  check({"least", "reduce_min", {{"m", "2"}, {"n", "1025"}}}, "sums_parts");
  check({"norm", "norm2", {{"n", "1000"}}}, "sums_parts");
  check({"place", "argmax", {{"m", "3"}, {"n", "205"}}}, "sums");
  check({"places", "argmin", {{"m", "2"}, {"n", "301"}}}, "sums_parts");
  check({"pool", "global_avg_pool", {{"c", "5"}, {"size", "7"}}}, "sums");
  check({"vector", "dense", {{"n", "37"}, {"k", "131"}, {"bias", "true"}}}, "sums");
  check({"halves", "dense", {{"n", "20"}, {"k", "256"}, {"dtype", "f16"}}}, "sums_parts");
  check({"bytes", "matmul", {{"m", "2"}, {"n", "9"}, {"k", "150"}, {"dtype", "i8"}}}, "sums");
  check({"long", "matmul", {{"m", "12"}, {"n", "17"}, {"k", "260"}, {"relu", "true"}}}, "parts");
  check({"window",
         "conv2d",
         {{"ic", "16"}, {"oc", "6"}, {"size", "5"}, {"k", "3"}, {"pad", "1"}, {"bias", "true"}}},
        "parts");
  check({"windows", "conv2d", {{"ic", "15"}, {"oc", "4"}, {"size", "4"}, {"k", "3"}}}, "sums");
  check({"rows", "softmax", {{"m", "2"}, {"n", "300"}}}, "sums_parts");
}

TEST_CASE("programs of the space of a GPU are right", "[opencl]") {
  const bool on_device = FindOpenClTestDevice().has_value();
  uint64_t seed = 1;
  for (const te::OpSpec& spec : te::TestWorkloads()) CheckConfigs(spec, 2, seed++, on_device);
}

// Code of a workload's trace; the candidate is compared with the evaluator, on a device too if
// there is one with images.
DeviceCode CheckedCode(const te::OpSpec& spec, const std::string& trace) {
  CAPTURE(trace);
  const te::Workload workload = te::MakeWorkload(spec).value();
  const auto candidate = passes::LowerTrace(workload, schedule::ParseTrace(trace).value());
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  auto code = GenerateOpenCl({candidate->program}, Reader());
  INFO(code.status());
  REQUIRE(code.ok());
  CAPTURE(code->source);
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
  if (HasImages()) {
    CHECK(te::CheckAgainst(workload, expected, *candidate, ReadHere) == absl::OkStatus());
  }
  return *std::move(code);
}

TEST_CASE("kernels declare and are passed what they read by other paths", "[opencl]") {
  const te::OpSpec product{
      "c", "matmul", {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}};
  const std::string reads = "trace 1\nread_through A image\nread_through B constant\n";
  const DeviceCode code =
      CheckedCode(product, reads + std::string(kSharedProduct).substr(sizeof("trace 1")));
  CHECK_THAT(code.source, Catch::Contains("__read_only image1d_buffer_t A_1, const int A_1_first, "
                                          "__constant float* restrict B_1 "
                                          "__attribute__((max_constant_size(2880))), "
                                          "__global float* restrict"));
  CHECK(code.launches[0][0].arguments ==
        std::vector<Argument>{{0, ArgumentKind::kImageF32}, {1, ArgumentKind::kConstant}, {2}});
  // A thread's place in its texel differs.
  CHECK_THAT(code.source, Catch::Contains("texel_float(A_1, A_1_first, "));
  // Vectors of constants are whole.
  CHECK_THAT(code.source, Catch::Contains("(0, B_1 + "));
}

TEST_CASE("vectors of an image are texels, and elements of known places their parts", "[opencl]") {
  const te::OpSpec relu{"r", "relu", {{"m", "6"}, {"n", "48"}}};
  const std::string vectors =
      "trace 1\nread_through X image\nsplit relu n 4\nfuse relu m n.0\nbind relu m+n.0 block.x\n";
  const DeviceCode whole = CheckedCode(relu, vectors + "vectorize relu n.1\n");
  CHECK_THAT(whole.source, Catch::Contains("const float4 vector0 = read_imagef(X_1, X_1_first + "));
  CHECK(whole.source.find("texel_float") == std::string::npos);
  const DeviceCode parts = CheckedCode(relu, vectors + "unroll relu n.1\n");
  for (const char* part : {").s0", ").s1", ").s2", ").s3"}) {
    CHECK_THAT(parts.source, Catch::Contains(part));
  }
  CHECK(parts.source.find("texel_float") == std::string::npos);
  // Pairs lie in a texel, but are none.
  const DeviceCode pairs = CheckedCode(
      relu,
      "trace 1\nread_through X image\nsplit relu n 2\nbind relu m block.x\nvectorize relu n.1\n");
  CHECK_THAT(pairs.source, Catch::Contains("texel_float(X_1, X_1_first, "));

  const te::OpSpec half{"h", "relu", {{"m", "6"}, {"n", "48"}, {"dtype", "f16"}}};
  CHECK(CheckedCode(half, vectors + "vectorize relu n.1\n").launches[0][0].arguments ==
        std::vector<Argument>{{0, ArgumentKind::kImageF16}, {1}});
  const auto with_half = GenerateOpenCl(
      {passes::LowerTrace(te::MakeWorkload(half).value(),
                          schedule::ParseTrace(vectors + "vectorize relu n.1\n").value())
           ->program},
      ir::ParseTarget("opencl/fp16 texels=65536").value());
  REQUIRE(with_half.ok());
  CHECK_THAT(with_half->source, Catch::Contains("const half4 vector0 = read_imageh(X_1, "));
}

TEST_CASE("more than a target's constant memory or images is refused", "[opencl]") {
  const te::Workload workload =
      te::MakeWorkload({"c", "matmul", {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}}})
          .value();
  const auto refusal = [&](const std::string& steps, const std::string& target) {
    const auto candidate =
        passes::LowerTrace(workload, schedule::ParseTrace("trace 1\n" + steps).value());
    REQUIRE(candidate.ok());
    const auto code = GenerateOpenCl({candidate->program}, ir::ParseTarget(target).value());
    CHECK(code.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(code.status().message());
  };
  const std::string both = "read_through A constant\nread_through B constant\n";
  CHECK_THAT(refusal(both, "opencl constant=6079"),
             Catch::Contains("6080 bytes of constant memory; the target has 6079"));
  CHECK_THAT(refusal("read_through A constant\n", "opencl"), Catch::Contains("the target has 0"));
  CHECK_THAT(refusal("read_through A image\n", "opencl texels=199"),
             Catch::Contains("takes 200 texels; the target has 199"));
  const auto written = [](const char* text) {
    return std::string(
        GenerateOpenCl({ir::ParseProgram(text).value()}, Reader()).status().message());
  };
  CHECK_THAT(written("program p(A: f32[4] through constant) { A[0] = 1.0 }"),
             Catch::Contains("buffer A is read through constant and written"));
  CHECK_THAT(written("program p(A: f32[6] through image, O: f32[6]) { O[0] = A[0] }"),
             Catch::Contains("fours of f32 or f16; it has 6 of f32"));
}

TEST_CASE("programs of the space that read by other paths are right", "[opencl]") {
  const bool on_device = HasImages();
  const uint64_t seed = 11;
  CAPTURE(seed);
  Rng rng(seed);
  // Of the last two no wave reads anything together.
  const std::pair<te::OpSpec, bool> cases[] = {
      {{"mm", "matmul", {{"m", "24"}, {"n", "20"}, {"k", "36"}, {"b", "input"}}}, true},
      {{"half", "matmul", {{"m", "8"}, {"n", "24"}, {"k", "20"}, {"dtype", "f16"}}}, true},
      {{"conv",
        "conv2d",
        {{"ic", "4"}, {"oc", "8"}, {"size", "9"}, {"k", "3"}, {"pad", "1"}, {"bias", "true"}}},
       true},
      {{"dw", "depthwise_conv2d", {{"c", "8"}, {"size", "10"}, {"k", "3"}, {"bias", "true"}}},
       true},
      {{"sum", "reduce_sum", {{"m", "8"}, {"n", "260"}}}, false},
      {{"gelu", "gelu", {{"m", "6"}, {"n", "48"}}}, false}};
  for (const auto& [spec, reads_together] : cases) {
    CAPTURE(spec.name);
    const te::Workload workload = te::MakeWorkload(spec).value();
    const space::ConfigSpace space = space::BuildSpace(workload, Reader(), 1).value();
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    for (int i = 0; i < 6; ++i) {
      const char* wanted = reads_together && i % 2 == 0 ? " constant\n" : " image\n";
      std::string text;
      for (int tries = 0; tries < 10'000 && text.find(wanted) == std::string::npos; ++tries) {
        const space::Config config = space.Sample(rng);
        CHECK(space.Validate(config) == absl::OkStatus());
        text = schedule::Print(space.ToTrace(config).value());
      }
      CAPTURE(text, wanted);
      REQUIRE(text.find(wanted) != std::string::npos);
      const auto candidate = passes::LowerTrace(workload, schedule::ParseTrace(text).value());
      REQUIRE(candidate.ok());
      CHECK(GenerateOpenCl({candidate->program}, Reader()).status() == absl::OkStatus());
      CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
      if (!on_device) continue;
      CHECK(te::CheckAgainst(workload, expected, *candidate, ReadHere) == absl::OkStatus());
    }
  }
}

}  // namespace
}  // namespace tessera::codegen::gpu
