#include "compiler/codegen/ptx.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/rng.h"
#include "compiler/schedule/default_trace.h"
#include "costmodel/features.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/ptx_assembler.h"
#include "tests/support/run_ptx.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

ir::Target Target(std::string_view text = "cuda/sm_80") { return ir::ParseTarget(text).value(); }

absl::Status RunHere(const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  return RunPtx(program, Target(), buffers);
}

void Check(const te::Workload& workload, const te::Expected& expected,
           const schedule::Trace& trace) {
  CAPTURE(schedule::Print(trace));
  const auto candidate = passes::LowerTrace(workload, trace);
  INFO(candidate.status());
  REQUIRE(candidate.ok());
  CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
}

TEST_CASE("a product of shared tiles becomes one kernel of PTX", "[ptx]") {
  const te::Workload workload =
      te::MakeWorkload({"c",
                        "matmul",
                        {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}})
          .value();
  const schedule::Trace trace = schedule::ParseTrace(kSharedProduct).value();
  const auto candidate = passes::LowerTrace(workload, trace);
  REQUIRE(candidate.ok());
  const auto code = GeneratePtx({candidate->program}, Target());
  INFO(code.status());
  REQUIRE(code.ok());
  INFO(code->source);
  REQUIRE(code->launches[0].size() == 1);
  const gpu::Launch& launch = code->launches[0][0];
  CHECK(launch.blocks == std::array<int64_t, 3>{6, 1, 1});
  CHECK(launch.block_threads == std::array<int64_t, 3>{32, 1, 1});
  CHECK(launch.arguments == std::vector<gpu::Argument>{{0}, {1}, {2}});
  CHECK(launch.shared_bytes == 16 * 4 * 4 + 4 * 32 * 4);
  CHECK(code->source.find(".target sm_80") != std::string::npos);
  CHECK(code->source.find(".reqntid 32, 1, 1") != std::string::npos);
  // Pointers are known to be of global or shared memory everywhere.
  CHECK(code->source.find("ld.f32") == std::string::npos);
  CHECK(code->source.find("st.f32") == std::string::npos);
  Check(workload, te::ComputeExpected(workload, 1).value(), trace);
}

TEST_CASE("how a schedule reads inputs changes no PTX", "[ptx]") {
  const te::Workload workload = te::MakeWorkload({"r", "relu", {{"m", "4"}, {"n", "32"}}}).value();
  const auto code = [&](const std::string& steps) {
    const auto candidate = passes::LowerTrace(
        workload, schedule::ParseTrace("trace 1\n" + steps + "bind relu m block.x\n").value());
    REQUIRE(candidate.ok());
    return GeneratePtx({candidate->program}, Target()).value();
  };
  const gpu::DeviceCode plain = code("");
  for (const char* path : {"read_through X constant\n", "read_through X image\n"}) {
    CHECK(code(path).source == plain.source);
    CHECK(code(path).launches == plain.launches);
  }
}

TEST_CASE("default schedules and programs of the space are right as PTX", "[ptx]") {
  uint64_t seed = 1;
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    CAPTURE(spec.name, spec.op, seed);
    const te::Workload workload = te::MakeWorkload(spec).value();
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    Check(workload, expected, schedule::DefaultTrace(workload.dag, Target()).value());
    const auto space = space::BuildSpace(workload, Target(), 1);
    INFO(space.status());
    REQUIRE(space.ok());
    Rng rng(seed++);
    for (int i = 0; i < 2; ++i) {
      const space::Config config = space->Sample(rng);
      CAPTURE(space->ToJson(config));
      Check(workload, expected, space->ToTrace(config).value());
    }
  }
}

// A product by blocks of four waves, each of 32 × 16; threads share it out as mma does.
std::string WaveTrace(bool shares, int64_t chunk) {
  std::string text = R"(trace 1
cache_write matmul
cache_read A matmul.local
cache_read B matmul.local
split matmul m 2 2 2 8
split matmul n 2 2 4 2
reorder matmul m.0 n.0 m.2 m.3 n.2 m.1 n.1 m.4 n.3 n.4
fuse matmul m.0 n.0
fuse matmul m.2 m.3 n.2
fuse matmul m.1 n.1 m.4 n.3
bind matmul m.0+n.0 block.x
bind matmul m.2+m.3+n.2 virtual
bind matmul m.1+n.1+m.4+n.3 thread.x
compute_at matmul.local matmul m.1+n.1+m.4+n.3
split matmul.local k CHUNK
reorder matmul.local k.0 k.1 m n
unroll matmul.local m
unroll matmul.local n
)";
  text.replace(text.find("CHUNK"), 5, absl::StrCat(chunk));
  for (const std::string operand : {"matmul.local.A", "matmul.local.B"}) {
    text += shares ? absl::StrCat("compute_at ", operand, " matmul.local k.0\nfuse ", operand,
                                  " d0 d1\nbind ", operand, " d0+d1 thread.x\n")
                   : absl::StrCat("inline ", operand, "\n");
  }
  return text;
}

int64_t CountOf(const std::string& text, const std::string& part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_CASE("waves multiply matrices where threads share products out as they do", "[ptx]") {
  struct Case {
    std::string type, transposed;
    int64_t m;
    bool shares;
    int64_t chunk;
    int64_t loads;  // of whole matrices
  };
  // A wave has 2 × 2 tiles, a chunk 1 or 2 steps.
  for (const Case& c : std::vector<Case>{{"f16", "false", 128, true, 16, 4},
                                         {"f16", "true", 128, true, 16, 4},
                                         {"bf16", "false", 128, true, 32, 8},
                                         {"f16", "false", 100, true, 16, 4},
                                         {"bf16", "true", 128, false, 16, 0},
                                         {"f16", "false", 128, false, 16, 0}}) {
    CAPTURE(c.type, c.transposed, c.m, c.shares, c.chunk);
    const te::Workload workload = te::MakeWorkload({"c",
                                                    "matmul",
                                                    {{"m", absl::StrCat(c.m)},
                                                     {"n", "64"},
                                                     {"k", "64"},
                                                     {"dtype", c.type},
                                                     {"transpose_b", c.transposed}}})
                                      .value();
    const schedule::Trace trace = schedule::ParseTrace(WaveTrace(c.shares, c.chunk)).value();
    const auto candidate = passes::LowerTrace(workload, trace);
    INFO(candidate.status());
    REQUIRE(candidate.ok());
    const auto code = GeneratePtx({candidate->program}, Target());
    REQUIRE(code.ok());
    INFO(code->source);
    CHECK(CountOf(code->source, "mma.sync") == 4 * c.chunk / 16);
    CHECK(CountOf(code->source, "ldmatrix.sync") == c.loads);
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
    CHECK(te::CheckAgainst(workload, expected, *candidate, ir::Evaluate) == absl::OkStatus());
    const auto older = GeneratePtx({candidate->program}, Target("cuda/sm_75"));
    REQUIRE(older.ok());
    CHECK(CountOf(older->source, "mma.sync") == 0);
  }
}

TEST_CASE("waves that do not share products out as mma does multiply one by one", "[ptx]") {
  const te::Workload workload =
      te::MakeWorkload({"c", "matmul", {{"m", "128"}, {"n", "64"}, {"k", "64"}, {"dtype", "f16"}}})
          .value();
  const std::string trace = WaveTrace(true, 16);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = trace;
    text.replace(text.find(from), from.size(), to);
    const auto candidate = passes::LowerTrace(workload, schedule::ParseTrace(text).value());
    INFO(candidate.status());
    REQUIRE(candidate.ok());
    const auto code = GeneratePtx({candidate->program}, Target());
    REQUIRE(code.ok());
    CHECK(CountOf(code->source, "mma.sync") == 0);
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
  };
  changed("split matmul.local k 16", "split matmul.local k 8");  // half a step
  changed("split matmul m 2 2 2 8", "split matmul m 2 2 4 4");   // four rows a wave
  changed("split matmul m 2 2 2 8", "split matmul m 2 1 1 16");  // no second row
}

TEST_CASE("waves multiply matrices in the spaces of products of f16 and bf16", "[ptx]") {
  uint64_t seed = 1;
  for (const te::OpSpec& spec :
       {te::OpSpec{"mm", "matmul", {{"m", "64"}, {"n", "48"}, {"k", "64"}, {"dtype", "f16"}}},
        te::OpSpec{"edge",
                   "matmul",
                   {{"m", "50"}, {"n", "35"}, {"k", "48"}, {"dtype", "bf16"}, {"relu", "true"}}},
        te::OpSpec{"bmm",
                   "batch_matmul",
                   {{"batch", "2"}, {"m", "32"}, {"n", "32"}, {"k", "32"}, {"dtype", "f16"}}},
        te::OpSpec{"conv",
                   "conv2d",
                   {{"ic", "32"},
                    {"oc", "32"},
                    {"size", "10"},
                    {"k", "3"},
                    {"pad", "1"},
                    {"bias", "true"},
                    {"dtype", "f16"}}}}) {
    CAPTURE(spec.name, seed);
    const auto workload = te::MakeWorkload(spec);
    INFO(workload.status());
    REQUIRE(workload.ok());
    const te::Expected expected = te::ComputeExpected(*workload, 1).value();
    const auto space = space::BuildSpace(*workload, Target(), 1);
    REQUIRE(space.ok());
    Rng rng(seed++);
    int by_waves = 0, instructions = 0;
    for (int i = 0; i < 200 && by_waves < 6; ++i) {
      const space::Config config = space->Sample(rng);
      const std::string text = space->ToJson(config);
      if (text.find("waves") == std::string::npos) continue;
      ++by_waves;
      CAPTURE(text);
      CHECK(space->Validate(config) == absl::OkStatus());
      const schedule::Trace trace = space->ToTrace(config).value();
      CAPTURE(schedule::Print(trace));
      const auto candidate = passes::LowerTrace(*workload, trace);
      INFO(candidate.status());
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, Target());
      INFO(code.status());
      REQUIRE(code.ok());
      instructions += code->source.find("mma.sync") != std::string::npos ? 1 : 0;
      CHECK(te::CheckAgainst(*workload, expected, *candidate, RunHere) == absl::OkStatus());
    }
    CHECK(by_waves == 6);
    // Operands that are read where they are may be behind tests of padding.
    CHECK(instructions >= 3);
  }
  const te::Workload workload =
      te::MakeWorkload({"mm", "matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}}).value();
  for (const char* target : {"cuda/sm_80", "cuda/sm_75"}) {
    const auto space = space::BuildSpace(workload, Target(target), 1);
    REQUIRE(space.ok());
    Rng rng(1);
    for (int i = 0; i < 50; ++i) {
      CHECK(space->ToJson(space->Sample(rng)).find("waves") == std::string::npos);
    }
  }
}

TEST_CASE("rows of waves may be either axis, and their stores behind a test", "[ptx]") {
  // 24 rows fill the instruction's columns better; 36 columns leave half a tile behind a test.
  for (const te::OpSpec& spec :
       {te::OpSpec{"other", "matmul", {{"m", "24"}, {"n", "64"}, {"k", "32"}, {"dtype", "f16"}}},
        te::OpSpec{"test", "matmul", {{"m", "64"}, {"n", "36"}, {"k", "32"}, {"dtype", "f16"}}}}) {
    const te::Workload workload = te::MakeWorkload(spec).value();
    const te::Expected expected = te::ComputeExpected(workload, 1).value();
    const auto space = space::BuildSpace(workload, Target(), 1).value();
    const uint64_t seed = 7;
    CAPTURE(spec.name, seed);
    Rng rng(seed);
    int instructions = 0;
    for (int i = 0; i < 60; ++i) {
      const space::Config config = space.Sample(rng);
      CAPTURE(space.ToJson(config));
      const auto candidate = passes::LowerTrace(workload, space.ToTrace(config).value());
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, Target());
      REQUIRE(code.ok());
      if (code->source.find("mma.sync") == std::string::npos) continue;
      ++instructions;
      CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
    }
    CHECK(instructions >= 10);
  }
}

TEST_CASE("short sums have configs of waves, and targets without waves none", "[ptx]") {
  for (const char* terms : {"16", "32", "64"}) {
    const te::Workload workload =
        te::MakeWorkload(
            {"m", "matmul", {{"m", "64"}, {"n", "64"}, {"k", terms}, {"dtype", "f16"}}})
            .value();
    const auto space = space::BuildSpace(workload, Target(), 1).value();
    const uint64_t seed = 3;
    CAPTURE(terms, seed);
    Rng rng(seed);
    for (int i = 0; i < 3000; ++i) {
      const space::Config config = space.Sample(rng);
      if (space.Validate(config).ok()) continue;
      FAIL(space.ToJson(config));
    }
    for (const char* text : {"cuda/sm_80 block=16", "cuda/sm_80 wave=16"}) {
      const auto narrow = space::BuildSpace(workload, Target(text), 1).value();
      for (int i = 0; i < 50; ++i) {
        CHECK(narrow.ToJson(narrow.Sample(rng)).find("waves") == std::string::npos);
      }
    }
  }
}

TEST_CASE("waves multiply matrices in the products of whole networks", "[ptx]") {
  const bool has_assembler = HasAssembler();
  const ir::Target target = Target("cuda/sm_80 shared=166912");
  uint64_t seed = 1;
  for (const te::OpSpec& spec :
       {te::OpSpec{"bert", "matmul", {{"m", "512"}, {"n", "768"}, {"k", "768"}, {"dtype", "f16"}}},
        te::OpSpec{"heads",
                   "batch_matmul",
                   {{"batch", "12"}, {"m", "128"}, {"n", "128"}, {"k", "64"}, {"dtype", "bf16"}}},
        te::OpSpec{"c2",
                   "conv2d",
                   {{"n", "16"},
                    {"ic", "64"},
                    {"oc", "64"},
                    {"size", "56"},
                    {"k", "3"},
                    {"pad", "1"},
                    {"relu", "true"},
                    {"dtype", "f16"}}}}) {
    CAPTURE(spec.name, seed);
    const auto workload = te::MakeWorkload(spec);
    INFO(workload.status());
    REQUIRE(workload.ok());
    const auto space = space::BuildSpace(*workload, target, 1);
    REQUIRE(space.ok());
    Rng rng(seed++);
    int by_waves = 0, instructions = 0;
    for (int i = 0; i < 200 && by_waves < 10; ++i) {
      const space::Config config = space->Sample(rng);
      const std::string text = space->ToJson(config);
      if (text.find("waves") == std::string::npos) continue;
      ++by_waves;
      CAPTURE(text);
      const auto candidate = passes::LowerTrace(*workload, space->ToTrace(config).value());
      INFO(candidate.status());
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, target);
      INFO(code.status());
      REQUIRE(code.ok());
      instructions += code->source.find("mma.sync") != std::string::npos ? 1 : 0;
      if (has_assembler) CHECK(AssemblerErrors(code->source, "sm_80") == "");
    }
    CHECK(by_waves == 10);
    CHECK(instructions >= 5);
  }
}

TEST_CASE("features see which programs will multiply matrices", "[ptx]") {
  uint64_t seed = 11;
  for (const te::OpSpec& spec :
       {te::OpSpec{"mm", "matmul", {{"m", "128"}, {"n", "96"}, {"k", "64"}, {"dtype", "f16"}}},
        te::OpSpec{"test", "matmul", {{"m", "64"}, {"n", "36"}, {"k", "32"}, {"dtype", "bf16"}}},
        te::OpSpec{"tf32", "matmul", {{"m", "64"}, {"n", "48"}, {"k", "40"}, {"tf32", "true"}}},
        te::OpSpec{"heads",
                   "batch_matmul",
                   {{"batch", "4"}, {"m", "64"}, {"n", "64"}, {"k", "32"}, {"dtype", "bf16"}}},
        te::OpSpec{"c",
                   "conv2d",
                   {{"n", "2"},
                    {"ic", "32"},
                    {"oc", "32"},
                    {"size", "16"},
                    {"k", "3"},
                    {"pad", "1"},
                    {"dtype", "f16"}}}}) {
    const te::Workload workload = te::MakeWorkload(spec).value();
    const auto space = space::BuildSpace(workload, Target(), 1).value();
    Rng rng(seed++);
    int multiply = 0, others = 0;
    for (int i = 0; i < 30; ++i) {
      const space::Config config = space.Sample(rng);
      const schedule::Trace trace = space.ToTrace(config).value();
      const auto candidate = passes::LowerTrace(workload, trace);
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, Target());
      REQUIRE(code.ok());
      const bool multiplies = code->source.find("mma.sync") != std::string::npos;
      CAPTURE(spec.name, seed, space.ToJson(config));
      const auto share = [&](std::string_view target) {
        return costmodel::TraceFeatures(workload.dag, Target(target), 1, schedule::Print(trace))
            .value()[costmodel::ColumnOf(ir::TargetKind::kCuda, "gpu.matrix_share")];
      };
      CHECK((share("cuda/sm_80") > 0) == multiplies);
      CHECK(share("cuda/sm_75") == 0);
      ++(multiplies ? multiply : others);
    }
    CHECK(multiply > 3);
    CHECK(others > 3);
  }
}

TEST_CASE("NVIDIA's assembler takes the PTX of all operators", "[ptx]") {
  if (!HasAssembler()) return;
  for (const std::string level : {"sm_70", "sm_80", "sm_90"}) {
    const ir::Target target = Target("cuda/" + level);
    uint64_t seed = 1;
    for (const te::OpSpec& spec : te::TestWorkloads()) {
      CAPTURE(level, spec.name, spec.op, seed);
      const te::Workload workload = te::MakeWorkload(spec).value();
      Rng rng(seed++);
      const auto space = space::BuildSpace(workload, target, 1);
      REQUIRE(space.ok());
      const auto trace = space->ToTrace(space->Sample(rng));
      const auto candidate = passes::LowerTrace(workload, trace.value());
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, target);
      REQUIRE(code.ok());
      CHECK(AssemblerErrors(code->source, level) == "");
    }
  }
}

// One block of two warps of a hand-written kernel, with memory of 256 bytes.
absl::Status Interpret(const std::string& body) {
  const auto kernels = ptx::ParsePtx(
      ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(\n.param .u64 p\n)\n{\n"
      "ld.param.u64 %rd1, [p];\nmov.u32 %r1, %tid.x;\nmul.wide.u32 %rd2, %r1, 4;\n"
      "add.s64 %rd3, %rd1, %rd2;\nsetp.gt.u32 %p1, %r1, 31;\n" +
      body + "\n$END:\nret;\n}\n");
  TESSERA_RETURN_IF_ERROR(kernels.status());
  alignas(256) std::array<std::byte, 256> bytes{};
  const auto address = reinterpret_cast<ptx::Word>(bytes.data());
  return ptx::Run(kernels->at("k"), {{1, 1, 1}, {64, 1, 1}, 0, {address}}, {{address, 256}});
}

TEST_CASE("the interpreter of PTX finds what a device would not forgive", "[ptx]") {
  CHECK(Interpret("st.global.u32 [%rd3], %r1;\nbar.sync 0;") == absl::OkStatus());
  CHECK(absl::IsOutOfRange(Interpret("st.global.u32 [%rd3+4], %r1;")));
  CHECK(absl::IsOutOfRange(Interpret("st.global.u16 [%rd3+1], %r1;")));
  CHECK(absl::IsOutOfRange(Interpret("st.shared.u32 [%rd2], %r1;")));
  CHECK(absl::IsAborted(Interpret("@%p1 bra $END;\nbar.sync 0;")));
  // Asynchronous copies know sizes and alignments, too; 16 bytes alone go past the first cache.
  CHECK(absl::IsOutOfRange(Interpret("cp.async.ca.shared.global [%r1], [%rd1], 4;")));
  CHECK(absl::IsInvalidArgument(Interpret("cp.async.ca.shared.global [%r1], [%rd1], 2;")));
  CHECK(absl::IsInvalidArgument(Interpret("cp.async.cg.shared.global [%r1], [%rd1], 8;")));
  CHECK(absl::IsInvalidArgument(Interpret("frobnicate.u32 %r1, %r1;")));
  CHECK(absl::IsInvalidArgument(Interpret("bra $NOWHERE;")));
}

}  // namespace
}  // namespace tessera::codegen
