// Asynchronous copies as PTX, interpreted and assembled.

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "base/rng.h"
#include "compiler/codegen/gpu/async_copies.h"
#include "compiler/codegen/ptx.h"
#include "compiler/ir/verify.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/ptx_assembler.h"
#include "tests/support/run_ptx.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::codegen {
namespace {

constexpr char kWait[] = "cp.async.wait_all;";

ir::Target Target(std::string_view text = "cuda/sm_80") { return ir::ParseTarget(text).value(); }

int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// With copies, but in order: the evaluator finds threads that don't wait for each other.
absl::Status EvaluateCopies(const ir::Program& program,
                            absl::Span<const absl::Span<std::byte>> buffers) {
  ir::Program copied = program;
  copied.body = gpu::CopyAsynchronously(program.body);
  TESSERA_RETURN_IF_ERROR(ir::Verify(copied));
  return ir::Evaluate(copied, buffers);
}

TEST_CASE("chunks ahead are copied asynchronously, and waited for", "[ptx]") {
  const te::Workload workload =
      te::MakeWorkload({"c",
                        "matmul",
                        {{"m", "40"}, {"n", "36"}, {"k", "20"}, {"b", "input"}, {"relu", "true"}}})
          .value();
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  const std::string steps = "double_buffer matmul.A\ndouble_buffer matmul.B\n";
  const auto candidate = passes::LowerTrace(
      workload, schedule::ParseTrace(absl::StrCat(kSharedProduct, steps)).value());
  REQUIRE(candidate.ok());
  const auto code = GeneratePtx({candidate->program}, Target());
  REQUIRE(code.ok());
  INFO(code->source);
  // A thread's share: two elements of A, four neighbours of B; before the loop and in it.
  CHECK(CountOf(code->source, "cp.async.ca.shared.global") == 2 * 2);
  CHECK(CountOf(code->source, "cp.async.cg.shared.global") == 2 * 1);
  CHECK(CountOf(code->source, "st.shared") == 0);
  CHECK(CountOf(code->source, kWait) == 2);
  CHECK(te::CheckAgainst(workload, expected, *candidate, EvaluateCopies) == absl::OkStatus());
  const auto run = [&](const std::string& source) {
    return te::CheckAgainst(
        workload, expected, *candidate,
        [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) {
          gpu::DeviceCode changed = *code;
          changed.source = source;
          return RunDeviceCode(changed, buffers);
        });
  };
  CHECK(run(code->source) == absl::OkStatus());
  size_t at = 0;
  for (int wait = 0; wait < 2; ++wait) {
    at = code->source.find(kWait, at + 1);
    std::string without = code->source;
    without.erase(at, sizeof(kWait) - 1);
    CAPTURE(wait);
    CHECK(absl::IsInternal(run(without)));
  }
  const auto older = GeneratePtx({candidate->program}, Target("cuda/sm_75"));
  REQUIRE(older.ok());
  CHECK(CountOf(older->source, "cp.async") == 0);
}

TEST_CASE("programs of spaces copy chunks ahead asynchronously", "[ptx]") {
  const bool has_assembler = HasAssembler();
  uint64_t seed = 1;
  for (const te::OpSpec& spec :
       {te::OpSpec{"edge", "matmul", {{"m", "50"}, {"n", "36"}, {"k", "52"}, {"relu", "true"}}},
        te::OpSpec{"half", "matmul", {{"m", "64"}, {"n", "48"}, {"k", "64"}, {"dtype", "f16"}}},
        te::OpSpec{"bytes", "matmul", {{"m", "32"}, {"n", "32"}, {"k", "40"}, {"dtype", "i8"}}},
        te::OpSpec{"conv",
                   "conv2d",
                   {{"ic", "8"}, {"oc", "12"}, {"size", "9"}, {"k", "3"}, {"pad", "1"}}}}) {
    CAPTURE(spec.name, seed);
    const auto workload = te::MakeWorkload(spec);
    INFO(workload.status());
    REQUIRE(workload.ok());
    const te::Expected expected = te::ComputeExpected(*workload, 1).value();
    const auto space = space::BuildSpace(*workload, Target(), 1).value();
    Rng rng(seed++);
    int doubled = 0, copying = 0;
    for (int i = 0; i < 2000 && doubled < 12; ++i) {
      const schedule::Trace trace = space.ToTrace(space.Sample(rng)).value();
      const std::string text = schedule::Print(trace);
      if (!absl::StrContains(text, "double_buffer")) continue;
      ++doubled;
      CAPTURE(text);
      const auto candidate = passes::LowerTrace(*workload, trace);
      REQUIRE(candidate.ok());
      const auto code = GeneratePtx({candidate->program}, Target());
      REQUIRE(code.ok());
      copying += absl::StrContains(code->source, "cp.async") ? 1 : 0;
      CHECK(te::CheckAgainst(*workload, expected, *candidate, EvaluateCopies) == absl::OkStatus());
      CHECK(te::CheckAgainst(
                *workload, expected, *candidate,
                [&](const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
                  return RunPtx(program, Target(), buffers);
                }) == absl::OkStatus());
      if (has_assembler) CHECK(AssemblerErrors(code->source, "sm_80") == "");
    }
    CHECK(doubled == 12);
    // Numbers of less than four bytes are copied in vectors only.
    const bool is_narrow = spec.attributes.contains("dtype");
    CHECK(copying >= (is_narrow ? 1 : 12));
  }
}

}  // namespace
}  // namespace tessera::codegen
