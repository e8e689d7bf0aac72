#include "compiler/codegen/ptx.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/rng.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/run_ptx.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

ir::Target Target(std::string_view text = "cuda/sm_80") { return ir::ParseTarget(text).value(); }

absl::Status RunHere(const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  return RunPtx(program, Target(), buffers);
}

// What NVIDIA's assembler has against it, if it is installed; empty: nothing.
std::string AssemblerErrors(const std::string& source, const std::string& level) {
  const test::TemporaryDirectory folder;
  const std::string file = folder.path + "/kernel.ptx", log = folder.path + "/log";
  std::ofstream(file) << source;
  const std::string command =
      absl::StrCat("ptxas -arch=", level, " ", file, " -o /dev/null 2> ", log);
  if (std::system(command.c_str()) == 0) return "";
  std::ifstream stream(log);
  return std::string(std::istreambuf_iterator<char>(stream), {}) + " ";
}

bool HasAssembler() {
  if (std::system("command -v ptxas > /dev/null") == 0) return true;
  WARN("skipped, no ptxas: PTX is interpreted only");
  return false;
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
  CHECK(launch.arguments == std::vector<int>{0, 1, 2});
  CHECK(launch.shared_bytes == 16 * 4 * 4 + 4 * 32 * 4);
  CHECK(code->source.find(".target sm_80") != std::string::npos);
  CHECK(code->source.find(".reqntid 32, 1, 1") != std::string::npos);
  // Pointers are known to be of global or shared memory everywhere.
  CHECK(code->source.find("ld.f32") == std::string::npos);
  CHECK(code->source.find("st.f32") == std::string::npos);
  Check(workload, te::ComputeExpected(workload, 1).value(), trace);
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
  CHECK(absl::IsInvalidArgument(Interpret("frobnicate.u32 %r1, %r1;")));
  CHECK(absl::IsInvalidArgument(Interpret("bra $NOWHERE;")));
}

}  // namespace
}  // namespace tessera::codegen
