#include "compiler/codegen/ptx.h"

#include <catch2/catch.hpp>
#include <string>

#include "base/rng.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
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

}  // namespace
}  // namespace tessera::codegen
