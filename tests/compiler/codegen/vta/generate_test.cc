#include "compiler/codegen/vta/generate.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/rng.h"
#include "compiler/passes/build_loops.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/support/reference_check.h"
#include "tests/support/run_vta.h"

namespace tessera::codegen::vta {
namespace {

using Attributes = std::map<std::string, std::string>;

struct Case {
  const char *target, *op;
  Attributes attributes;
};

ir::Target Pynq() { return ir::ParseTarget("vta").value(); }

struct Scheduled {
  schedule::Schedule schedule;
  schedule::LoopStructure loops;
};
Scheduled Apply(const te::Workload& workload, const std::string& steps) {
  const auto trace = schedule::ParseTrace("trace 1\n" + steps);
  REQUIRE(trace.status() == absl::OkStatus());
  auto applied = schedule::ApplyTrace(workload.dag, *trace);
  REQUIRE(applied.status() == absl::OkStatus());
  auto loops = schedule::InferBounds(*applied);
  REQUIRE(loops.status() == absl::OkStatus());
  return {*std::move(applied), *std::move(loops)};
}

// Runs it and compares with the evaluator.
VtaRun Run(const te::Workload& workload, const Scheduled& scheduled,
           const ir::Target& target = Pynq()) {
  const auto kernels = Generate(scheduled.schedule, scheduled.loops, target);
  REQUIRE(kernels.status() == absl::OkStatus());

  const auto expected = te::ComputeExpected(workload, 7);
  REQUIRE(expected.ok());
  VtaRun run;
  const ir::Program shape{"vta", passes::MakeParameters(scheduled.schedule), ir::Stmt()};
  const absl::Status checked = te::CheckAgainst(
      workload, *expected, {shape},
      [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) -> absl::Status {
        TESSERA_ASSIGN_OR_RETURN(run, RunVta(*kernels, buffers));
        return absl::OkStatus();
      });
  CHECK(checked == absl::OkStatus());
  return run;
}

VtaRun Run(const te::Workload& workload, const std::string& steps,
           const ir::Target& target = Pynq()) {
  return Run(workload, Apply(workload, steps), target);
}

std::string ErrorOf(const te::Workload& workload, const std::string& steps,
                    const ir::Target& target = Pynq()) {
  const Scheduled scheduled = Apply(workload, steps);
  const auto kernels = Generate(scheduled.schedule, scheduled.loops, target);
  return kernels.ok() ? "" : std::string(kernels.status().message());
}

te::Workload Conv(Attributes attributes) {
  const Attributes defaults = {
      {"ic", "32"},    {"oc", "64"},     {"size", "8"},  {"k", "3"},       {"pad", "1"},
      {"dtype", "i8"}, {"bias", "true"}, {"shift", "5"}, {"relu", "true"}, {"layout", "nchwc16"}};
  attributes.insert(defaults.begin(), defaults.end());
  return te::MakeWorkload({"conv", "conv2d", attributes}).value();
}

// What schedules of convolutions with bias and ReLU begin with.
constexpr char kHead[] = R"(layout W 0/16 1/16 2 3 0%16 1%16
inline bias
inline shift
inline relu
cache_read W conv
cache_read Bias narrow
)";

constexpr char kTiled[] = R"(split narrow oc 32
split narrow oh 4
reorder narrow n oc.0 oh.0 oc.1 oh.1 ow
compute_at conv narrow oh.0
split conv ic 16
reorder conv ic.0 kh kw ic.1 n oc oh ow
compute_at pad conv ic.0
compute_at conv.W conv ic.0
compute_at narrow.Bias narrow oh.0
)";

TEST_CASE("a convolution's tiles are loaded, multiplied, shifted and stored", "[vta]") {
  const VtaRun run = Run(Conv({}), absl::StrCat(kHead, kTiled));
  REQUIRE(run.reports.size() == 1);
  // 4 x 64 positions of 2 x 9 terms, and resets.
  CHECK(run.reports[0].gemm_steps == 4 * 64 * 2 * 9 + 4 * 64);
}

// Of two halves of the channels.
constexpr char kThreads[] = R"(split narrow oc 2 16
split narrow oh 4
reorder narrow n oc.0 oh.0 oc.1 oc.2 oh.1 ow
bind narrow oc.1 virtual
compute_at conv narrow oc.1
split conv ic 16
reorder conv ic.0 kh kw ic.1 n oc oh ow
compute_at pad conv ic.0
compute_at conv.W conv ic.0
compute_at narrow.Bias narrow oc.1
)";

TEST_CASE("virtual threads have memory of their own, and what is the same for both is loaded once",
          "[vta]") {
  const VtaRun plain = Run(Conv({}), absl::StrCat(kHead, kTiled));
  const VtaRun threads = Run(Conv({}), absl::StrCat(kHead, kThreads));
  CHECK(threads.reports[0].dram_bytes_read <= plain.reports[0].dram_bytes_read * 11 / 10);
  CHECK(threads.reports[0].gemm_steps == plain.reports[0].gemm_steps);
}

TEST_CASE("loads into the other of two copies overlap with products", "[vta]") {
  const VtaRun plain = Run(Conv({}), absl::StrCat(kHead, kTiled));
  const VtaRun doubled =
      Run(Conv({}), absl::StrCat(kHead, kTiled, "double_buffer pad\ndouble_buffer conv.W\n"));
  CHECK(doubled.reports[0].gemm_steps == plain.reports[0].gemm_steps);
  CHECK(doubled.reports[0].cycles < plain.reports[0].cycles);
}

std::string DefaultSteps(const te::Workload& workload, const ir::Target& target) {
  const auto trace = schedule::DefaultTrace(workload.dag, target);
  REQUIRE(trace.status() == absl::OkStatus());
  const std::string text = schedule::Print(*trace);
  return text.substr(text.find('\n') + 1);
}

TEST_CASE("default traces of what the accelerator is for are right", "[vta]") {
  const ir::Target narrow = ir::ParseTarget("vta block=8 inp=4096 wgt=8192 acc=16384").value();
  for (const Attributes& attributes :
       {Attributes{}, Attributes{{"k", "1"}, {"pad", "0"}},
        Attributes{{"stride", "2"}, {"layout", "any"}}, Attributes{{"bias", "false"}},
        Attributes{{"add", "true"}},
        Attributes{{"h", "7"}, {"w", "5"}, {"n", "2"}, {"relu", "false"}}}) {
    CAPTURE(attributes);
    const te::Workload workload = Conv(attributes);
    Run(workload, DefaultSteps(workload, Pynq()));
    const te::Workload any = Conv([&] {
      Attributes copy = attributes;
      copy["layout"] = "any";
      return copy;
    }());
    Run(any, DefaultSteps(any, narrow), narrow);
  }
  const te::Workload dense =
      te::MakeWorkload(
          {"fc", "dense", {{"m", "8"}, {"n", "256"}, {"k", "64"}, {"dtype", "i8"}, {"shift", "4"}}})
          .value();
  Run(dense, DefaultSteps(dense, Pynq()));
}

te::Workload Pool(Attributes attributes) {
  const Attributes defaults = {{"c", "32"},  {"size", "9"},   {"k", "3"},           {"stride", "2"},
                               {"pad", "1"}, {"dtype", "i8"}, {"layout", "nchwc16"}};
  attributes.insert(defaults.begin(), defaults.end());
  return te::MakeWorkload({"pool", "max_pool2d", attributes}).value();
}

TEST_CASE("the largest of windows is found, whatever lies beside the tensor", "[vta]") {
  for (const Attributes& attributes :
       {Attributes{}, Attributes{{"pad", "0"}}, Attributes{{"k", "2"}, {"pad", "0"}},
        Attributes{{"stride", "1"}, {"h", "5"}, {"w", "12"}},
        Attributes{{"kh", "1"}, {"kw", "3"}, {"pad", "0"}}, Attributes{{"n", "2"}}}) {
    CAPTURE(attributes);
    const te::Workload pool = Pool(attributes);
    Run(pool, DefaultSteps(pool, Pynq()));
  }
  const auto rows = ir::ParseTarget("vta batch=2 block=8 uop=64 wgt=65536 acc=65536").value();
  const te::Workload any = Pool({{"n", "4"}, {"layout", "any"}});
  Run(any, DefaultSteps(any, rows), rows);
}

TEST_CASE("a bias is stored once for each row of a tile", "[vta]") {
  const auto rows = ir::ParseTarget("vta batch=4 block=8").value();
  const te::Workload conv = Conv({{"n", "4"}, {"layout", "any"}});
  const std::string steps = DefaultSteps(conv, rows);
  CHECK(absl::StrContains(steps, "layout Bias 0/8%8 0/64+3 0%8\n"));
  Run(conv, steps, rows);
  // One tile of channels.
  const te::Workload narrow = Conv({{"n", "4"}, {"oc", "8"}, {"layout", "any"}});
  Run(narrow, DefaultSteps(narrow, rows), rows);
}

TEST_CASE("default tiles are as large as it takes", "[vta]") {
  // With the smallest ones these would be of millions of instructions.
  for (const Attributes& attributes :
       {Attributes{{"n", "2"}, {"size", "224"}}, Attributes{{"ic", "1024"}, {"size", "64"}}}) {
    CAPTURE(attributes);
    const te::Workload workload = Conv(attributes);
    CHECK(ErrorOf(workload, DefaultSteps(workload, Pynq())) == "");
  }
  // A window that lies in the padding alone.
  const te::Workload padded = Conv({{"k", "1"}, {"pad", "2"}});
  Run(padded, DefaultSteps(padded, Pynq()));
}

// Of -128 and of what is next to it everywhere, which no padding may be mistaken for.
TEST_CASE("the largest of the least i8 is the least i8", "[vta]") {
  const te::Workload pool = Pool({{"layout", "nchwc16"}});
  const Scheduled scheduled = Apply(pool, DefaultSteps(pool, Pynq()));
  const auto kernels = Generate(scheduled.schedule, scheduled.loops, Pynq());
  REQUIRE(kernels.status() == absl::OkStatus());
  for (const int value : {-128, -127, 0, 127}) {
    std::vector<std::byte> x(32 * 9 * 9, static_cast<std::byte>(value)), y(32 * 5 * 5);
    const absl::Span<std::byte> buffers[] = {absl::MakeSpan(x), absl::MakeSpan(y)};
    REQUIRE(RunVta(*kernels, buffers).status() == absl::OkStatus());
    CHECK(y == std::vector<std::byte>(32 * 5 * 5, static_cast<std::byte>(value)));
  }
}

TEST_CASE("channels are multiplied one by one with tiles of diagonals", "[vta]") {
  for (const Attributes& attributes :
       {Attributes{{"pad", "1"}, {"bias", "true"}}, Attributes{{"stride", "2"}, {"relu", "true"}},
        Attributes{{"add", "true"}, {"n", "2"}}}) {
    CAPTURE(attributes);
    Attributes all = {{"c", "32"},     {"size", "8"},  {"k", "3"},
                      {"dtype", "i8"}, {"shift", "4"}, {"layout", "any"}};
    all.insert(attributes.begin(), attributes.end());
    const te::Workload depthwise = te::MakeWorkload({"dw", "depthwise_conv2d", all}).value();
    Run(depthwise, DefaultSteps(depthwise, Pynq()));
  }
  // A product a tap of a tile of results, and resets.
  const te::Workload plain = te::MakeWorkload({"dw",
                                               "depthwise_conv2d",
                                               {{"c", "32"},
                                                {"size", "8"},
                                                {"k", "3"},
                                                {"dtype", "i8"},
                                                {"shift", "4"},
                                                {"layout", "any"}}})
                                 .value();
  CHECK(Run(plain, DefaultSteps(plain, Pynq())).reports[0].gemm_steps == 2 * 36 * (9 + 1));
}

TEST_CASE("tensors of i8 are added by products with the identity", "[vta]") {
  const te::Workload plain = Conv({}), residual = Conv({{"add", "true"}});
  const VtaRun without = Run(plain, DefaultSteps(plain, Pynq()));
  const VtaRun with = Run(residual, DefaultSteps(residual, Pynq()));
  CHECK(with.reports[0].gemm_steps == without.reports[0].gemm_steps + 4 * 64);
  CHECK(with.reports[0].alu_steps == without.reports[0].alu_steps);
  for (const char* relu : {"true", "false"}) {
    const te::Workload add =
        te::MakeWorkload({"add", "add", {{"m", "4"}, {"n", "96"}, {"dtype", "i8"}, {"relu", relu}}})
            .value();
    Run(add, DefaultSteps(add, Pynq()));
    const auto wide = ir::ParseTarget("vta block=32").value();
    Run(add, DefaultSteps(add, wide), wide);
  }
}

// A convolution whose results `read` of a tensor of such a type and shape is added to.
te::Workload AddsRead(const std::string& tensor, const std::string& read) {
  const auto workload = te::ParseWorkload(absl::StrCat(
      "workload w\ninput X: i8[1,16,4,4] blocked(1)\nconst W: i8[16,16,1,1] free\n", tensor,
      "\nstage conv: i32[n:1, oc:16, oh:4, ow:4] = sum[ic:16, kh:1, kw:1] (cast(i32, X[n, ic, oh + "
      "kh, ow + kw]) * cast(i32, W[oc, ic, kh, kw]))\nstage shift: i32[n:1, oc:16, oh:4, ow:4] = "
      "shift_right(conv[n, oc, oh, ow], 3:i32)\nstage add: i32[n:1, oc:16, oh:4, ow:4] = "
      "shift[n, oc, oh, ow] + ",
      read,
      "\nstage o: i8[n:1, oc:16, oh:4, ow:4] blocked(1) = cast_sat(i8, add[n, oc, oh, ow])\n"
      "output o\n"));
  REQUIRE(workload.status() == absl::OkStatus());
  return *workload;
}

// Of the default trace and of a space, which agree.
std::string AddedRefusal(const std::string& tensor, const std::string& read) {
  const te::Workload workload = AddsRead(tensor, read);
  const absl::Status space = space::BuildSpace(workload, Pynq(), 1).status();
  CHECK(schedule::DefaultTrace(workload.dag, Pynq()).ok() == space.ok());
  return std::string(space.message());
}

TEST_CASE("what is added is read where results are", "[vta]") {
  for (const auto& [tensor, read] : {std::pair("const R: i32[16,4,4] free", "R[oc, oh, ow]"),
                                     {"const R: i32[16,4,4] free", "R[oc, ow, oh]"},
                                     {"const R: i32[16,4,4] free", "R[oc, 3, ow]"},
                                     {"const R: i32[16,4,4] free", "R[oc, oh, oh]"},
                                     {"const R: i8[16,4,4] free", "cast(i32, R[oc, oh, oh])"}}) {
    CAPTURE(tensor, read);
    const te::Workload workload = AddsRead(tensor, read);
    Run(workload, DefaultSteps(workload, Pynq()));
    const auto space = space::BuildSpace(workload, Pynq(), 1);
    REQUIRE(space.status() == absl::OkStatus());
    Rng rng(4);
    for (int i = 0; i < 8; ++i) {
      const schedule::Schedule schedule = space->ToSchedule(space->Sample(rng)).value();
      const schedule::LoopStructure loops = schedule::InferBounds(schedule).value();
      Run(workload, Scheduled{schedule, loops});
    }
  }
  for (const auto& [tensor, read] : {std::pair("const R: i32[16,16] free", "R[oc, oc]"),
                                     {"const R: i32[16,4,16] free", "R[oc, oh, oc]"},
                                     {"const R: i8[16,4,16] free", "cast(i32, R[oc, oh, oc])"}}) {
    CAPTURE(tensor, read);
    CHECK(absl::StrContains(AddedRefusal(tensor, read), "R is read at a diagonal"));
  }
  CHECK(absl::StrContains(
      AddedRefusal("input R: i8[1,16,6,6] blocked(1)", "cast(i32, R[n, oc, oh + 1, ow + 2])"),
      "R is read at other places than those of the results"));
}

TEST_CASE("masks are rows of the tensor as it is stored", "[vta]") {
  for (const auto& [shape, pads] :
       {std::pair("1,16,12,8", "h:13, w:9"), {"1,16,8,12", "h:9, w:13"}}) {
    CAPTURE(shape);
    const int64_t h = shape[5] == '1' ? 12 : 8, w = 20 - h;
    const auto pool = te::ParseWorkload(absl::StrCat(
        "workload w\ninput X: i8[", shape, "] layout(0 1/16 3 2 1%16)\nstage pad: i8[n:1, c:16, ",
        pads, "] = select(1 <= h && 1 <= w, X[n, c, h - 1, w - 1], -128:i8)\n",
        "stage pool: i8[n:1, c:16, oh:", h / 2, ", ow:", w / 2,
        "] layout(0 1/16 3 2 1%16) = max[kh:3, kw:3] (pad[n, c, oh * 2 + kh, ow * 2 + kw])\n"
        "output pool\n"));
    REQUIRE(pool.status() == absl::OkStatus());
    Run(*pool, DefaultSteps(*pool, Pynq()));
  }
}

TEST_CASE("a bias is added to tiles of more than 64 rows", "[vta]") {
  const auto rows = ir::ParseTarget("vta batch=128 block=8 inp=65536 acc=131072").value();
  const te::Workload conv = Conv({{"n", "128"},
                                  {"ic", "8"},
                                  {"oc", "8"},
                                  {"size", "4"},
                                  {"k", "1"},
                                  {"pad", "0"},
                                  {"layout", "any"}});
  Run(conv, DefaultSteps(conv, rows), rows);
}

TEST_CASE("default tiles fit where any do", "[vta]") {
  const Case cases[] = {
      {"vta", "max_pool2d", {{"size", "227"}, {"k", "5"}, {"stride", "2"}, {"pad", "1"}}},
      {"vta", "max_pool2d", {{"size", "227"}, {"k", "7"}, {"stride", "1"}, {"pad", "1"}}},
      // Four micro-ops.
      {"vta uop=16", "max_pool2d", {{"size", "11"}, {"k", "3"}, {"stride", "1"}, {"pad", "1"}}},
      {"vta uop=16", "max_pool2d", {{"h", "13"}, {"w", "5"}, {"k", "2"}, {"stride", "1"}}},
      {"vta uop=16", "depthwise_conv2d", {{"size", "7"}, {"k", "3"}, {"shift", "3"}}},
  };
  for (const Case& one : cases) {
    Attributes attributes = one.attributes;
    attributes.insert({{"c", "64"}, {"dtype", "i8"}, {"layout", "any"}});
    CAPTURE(one.target, attributes);
    const te::Workload workload = te::MakeWorkload({"w", one.op, attributes}).value();
    const ir::Target target = ir::ParseTarget(one.target).value();
    REQUIRE(space::BuildSpace(workload, target, 1).status() == absl::OkStatus());
    CHECK(ErrorOf(workload, DefaultSteps(workload, target), target) == "");
  }
}

TEST_CASE("default tiles of long axes are found at once", "[vta]") {
  for (const char* m : {"2147483647", "68719476731"}) {
    CAPTURE(m);
    const te::Workload add =
        te::MakeWorkload({"add", "add", {{"m", m}, {"n", "16"}, {"dtype", "i8"}}}).value();
    const auto begin = std::chrono::steady_clock::now();
    CHECK(schedule::DefaultTrace(add.dag, Pynq()).ok());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
  }
}

TEST_CASE("what the accelerator can't do is refused with the reason", "[vta]") {
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(absl::StrContains(text, part));
  };
  const auto of_default = [](const te::Workload& workload) {
    return std::string(schedule::DefaultTrace(workload.dag, Pynq()).status().message());
  };
  contains(of_default(Conv({{"dtype", "f32"}, {"shift", "0"}})),
           "conv is no sum of products i8 * i8 of two tensors in i32");
  contains(of_default(Conv({{"shift", "0"}})), "the accelerator stores i8");
  contains(of_default(Conv({{"layout", "nchw"}})),
           "X is stored as \"1 2 3\"; the accelerator's tiles are those of \"0 1/16 2 3 1%16\"");
  contains(of_default(Conv({{"shift", "0"}, {"requantize", "true"}})), "ALU can't compute");
  contains(of_default(te::MakeWorkload({"add", "add", {{"n", "40"}, {"dtype", "i8"}}}).value()),
           "widen has 40 positions of n, which tiles of 16 don't divide");
  contains(of_default(te::MakeWorkload({"add", "add", {{"n", "32"}}}).value()),
           "no stage that has i8 as i32");
  contains(of_default(Pool({{"layout", "nchw"}})), "X is stored as");
  const auto rows = ir::ParseTarget("vta batch=2").value();
  const te::Workload dense =
      te::MakeWorkload(
          {"fc", "dense", {{"m", "8"}, {"n", "32"}, {"k", "32"}, {"dtype", "i8"}, {"shift", "4"}}})
          .value();
  contains(std::string(schedule::DefaultTrace(dense.dag, rows).status().message()),
           "A is stored as \"0 1\"; the accelerator's tiles are those of \"0/2 1/16 0%2 1%16\"");
  contains(of_default(Pool({{"dtype", "f32"}})), "no sum of products");
  contains(of_default(Pool({{"h", "3"}, {"w", "1025"}})),
           "X has 1025 positions along dimension 3, which is padded by -128");
  contains(of_default(Conv({{"ic", "3"}, {"layout", "any"}})),
           "conv has no reduction axis that tiles of 16 divide");
  contains(ErrorOf(Conv({}), absl::StrCat(kHead, kTiled, "vectorize conv ow\n")),
           "conv has a loop that is vectorized");
  contains(
      ErrorOf(Conv({}), absl::StrCat(kHead, kTiled, "reorder conv ic.0 kh n oc oh ow kw ic.1\n")),
      "conv: an accumulator is added to every 1 steps; the pipeline takes 4");
  contains(ErrorOf(Conv({}), kHead), "has 0 reductions inside");
  for (const auto& [step, reason] :
       {std::pair("stream narrow", "narrow: stream is for caches"),
        {"prefetch conv 2", "conv: prefetch is for caches"},
        {"read_through Bias constant", "Bias: read_through is for GPUs"}}) {
    contains(ErrorOf(Conv({}), absl::StrCat(kHead, kTiled, step, "\n")), reason);
  }
  contains(ErrorOf(Conv({}), absl::StrCat(kHead, kTiled), ir::ParseTarget("vta wgt=4096").value()),
           "conv.W takes more than the 16 tiles that are left of 16 of wgt");
}

// Steps of products that a program takes.
int64_t ProductSteps(const std::vector<tessera::vta::Node>& body) {
  int64_t steps = 0;
  for (const tessera::vta::Node& node : body) {
    if (const auto* repeat = std::get_if<tessera::vta::Repeat>(&node.what)) {
      steps += repeat->turns * ProductSteps(repeat->body);
    }
    const auto* product = std::get_if<tessera::vta::Product>(&node.what);
    if (product == nullptr || product->resets) continue;
    int64_t all = 1;
    for (const tessera::vta::Loop& loop : product->loops) all *= loop.turns;
    steps += all;
  }
  return steps;
}

TEST_CASE("ResNet-18's convolutions but the first take 6,623,232 products of tiles", "[vta]") {
  struct Layer {
    int count;
    const char *ic, *oc, *size, *k, *stride, *pad;
  };
  const Layer layers[] = {
      {4, "64", "64", "56", "3", "1", "1"},   {1, "64", "128", "56", "3", "2", "1"},
      {1, "64", "128", "56", "1", "2", "0"},  {3, "128", "128", "28", "3", "1", "1"},
      {1, "128", "256", "28", "3", "2", "1"}, {1, "128", "256", "28", "1", "2", "0"},
      {3, "256", "256", "14", "3", "1", "1"}, {1, "256", "512", "14", "3", "2", "1"},
      {1, "256", "512", "14", "1", "2", "0"}, {3, "512", "512", "7", "3", "1", "1"},
  };
  int64_t steps = 0;
  for (const Layer& layer : layers) {
    const te::Workload workload = Conv({{"ic", layer.ic},
                                        {"oc", layer.oc},
                                        {"size", layer.size},
                                        {"k", layer.k},
                                        {"stride", layer.stride},
                                        {"pad", layer.pad}});
    const Scheduled scheduled = Apply(workload, DefaultSteps(workload, Pynq()));
    const auto kernels = Generate(scheduled.schedule, scheduled.loops, Pynq());
    REQUIRE(kernels.status() == absl::OkStatus());
    steps += layer.count * ProductSteps((*kernels)[0].code.body);
  }
  CHECK(steps == 6'623'232);
}

// Of what the accelerator is for, with `value` of sum s and constant c instead of what it stores.
std::string RefusalOf(const std::string& value) {
  const auto workload = te::ParseWorkload(absl::StrCat(
      "workload odd\ninput X: i8[16,32]\nconst W: i8[32,32] free\nconst c: i32[32]\n"
      "stage s: i32[m:16, n:32] = sum[k:32] (cast(i32, X[m, k]) * cast(i32, W[n, k]))\n"
      "stage y: i8[m:16, n:32] = ",
      value, "\noutput y\n"));
  REQUIRE(workload.status() == absl::OkStatus());
  const auto trace = schedule::DefaultTrace(workload->dag, Pynq());
  if (!trace.ok()) return std::string(trace.status().message());
  return ErrorOf(*workload, DefaultSteps(*workload, Pynq()));
}

TEST_CASE("what the ALU or transfers can't do is refused", "[vta]") {
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(absl::StrContains(text, part));
  };
  CHECK(RefusalOf("cast_sat(i8, s[m, n] + c[n])") == "");
  contains(RefusalOf("cast_sat(i8, s[m, n] * cast(i32, 3))"), "ALU can't compute");
  contains(RefusalOf("cast_sat(i8, s[m, n] + cast(i32, 100000))"), "ALU can't compute");
  contains(RefusalOf("cast(i8, s[m, n])"), "ALU can't compute");
  contains(RefusalOf("cast_sat(i8, max(s[m, n] + c[n], s[m, n]))"), "other places than its own");
  contains(RefusalOf("cast_sat(i8, s[m, n] + c[m])"), "not both axes");
  contains(RefusalOf("cast_sat(i8, s[m, n] + c[n] + c[31 - n])"), "at several places");
  contains(RefusalOf("cast_sat(i8, s[m, n] + c[n / 2])"), "c");
}

// With `a` in front of the sum and `y` behind it.
std::string DraftRefusal(const std::string& a, const std::string& y) {
  const auto workload = te::ParseWorkload(
      absl::StrCat("workload odd\ninput X: i8[16,32]\nconst W: i8[32,32] free\n", a,
                   "stage s: i32[m:16, n:32] = sum[k:32] (cast(i32, ", a.empty() ? "X" : "a",
                   "[m, k]) * cast(i32, W[n, k]))\nstage y: ", y, "\noutput y\n"));
  REQUIRE(workload.status() == absl::OkStatus());
  const absl::Status space = space::BuildSpace(*workload, Pynq(), 1).status();
  CHECK(schedule::DefaultTrace(workload->dag, Pynq()).ok() == space.ok());
  return std::string(space.message());
}

TEST_CASE("definitions that no instructions compute are refused before anything is tried",
          "[vta]") {
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(absl::StrContains(text, part));
  };
  const std::string plain = "i8[m:16, n:32] = cast_sat(i8, s[m, n])";
  CHECK(DraftRefusal("", plain) == "");
  contains(DraftRefusal("", "i8[n:32, m:16] = cast_sat(i8, s[m, n])"), "y is stored as");
  contains(DraftRefusal("stage a: i8[m:16, k:32] = cast(i8, m + k) + X[m, k]\n", plain),
           "which is computed");
  contains(DraftRefusal("stage a: i8[m:16, k:32] = X[0, k]\n", plain), "other elements");
  contains(DraftRefusal("stage a: i8[m:16, k:32] = X[m / 2, k]\n", plain), "other elements");
  contains(DraftRefusal("stage a: i8[m:16, k:32] = max(X[m, k], cast(i8, 0))\n", plain),
           "which is computed");
  contains(DraftRefusal("", "i8[m:16, n:32] = cast_sat(i8, s[15 - m, n])"), "its own");
  CHECK(!space::BuildSpace(Conv({}), ir::ParseTarget("vta block=1").value(), 1).ok());
  contains(std::string(space::BuildSpace(Conv({{"dilation", "17"}, {"pad", "17"}, {"size", "64"}}),
                                         Pynq(), 1)
                           .status()
                           .message()),
           "X is padded by 17");
}

TEST_CASE("loops of a sum outside of its loads leave what others have summed up", "[vta]") {
  Run(Conv({}), absl::StrCat(kHead, R"(split narrow oc 32
split narrow oh 4
reorder narrow n oc.0 oh.0 oc.1 oh.1 ow
compute_at conv narrow oh.0
split conv ic 16
split conv oh 2
reorder conv oh.0 ic.0 kh kw ic.1 n oc oh.1 ow
compute_at pad conv ic.0
compute_at conv.W conv ic.0
compute_at narrow.Bias narrow oh.0
)"));
}

TEST_CASE("traces that the accelerator has no order for are refused", "[vta]") {
  const auto contains = [](const std::string& text, const std::string& part) {
    INFO(text);
    CHECK(absl::StrContains(text, part));
  };
  const auto tiled = [](const std::string& sum_at) {
    return absl::StrCat(kHead, R"(split narrow oc 32
split narrow oh 4
reorder narrow n oc.0 oh.0 oc.1 oh.1 ow
compute_at conv narrow )",
                        sum_at, R"(
split conv ic 16
reorder conv ic.0 kh kw ic.1 n oc oh ow
compute_at pad conv ic.0
compute_at conv.W conv ic.0
compute_at narrow.Bias narrow oh.0
)");
  };
  contains(ErrorOf(Conv({}), tiled("oc.0")),
           "narrow.Bias is computed in a loop inside of that of conv");
  contains(ErrorOf(Conv({}), absl::StrCat(tiled("oh.0"),
                                          "cache_read conv.W conv\ncompute_at conv.conv.W conv "
                                          "ic.0\n")),
           "cop");
}

}  // namespace
}  // namespace tessera::codegen::vta
