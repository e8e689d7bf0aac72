#include "compiler/codegen/gpu/opencl.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "base/rng.h"
#include "compiler/schedule/default_trace.h"
#include "schedule_space/config_space.h"
#include "tests/support/lower_schedule.h"
#include "tests/support/run_opencl.h"
#include "tests/support/thread_traces.h"
#include "tests/support/workloads.h"

namespace tessera::codegen::gpu {
namespace {

ir::Target Target() { return ir::ParseTarget("opencl").value(); }

bool HasDevice() {
  const auto devices = opencl::ListDevices();
  if (devices.ok() && !devices->empty()) return true;
  WARN("skipped, no OpenCL device: " << devices.status());
  return false;
}

absl::Status RunHere(const ir::Program& program, absl::Span<const absl::Span<std::byte>> buffers) {
  return RunOpenCl(program, Target(), buffers);
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
  CHECK(code->launches[0][0].arguments == std::vector<int>{0, 1, 2});
  if (!HasDevice()) return;
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  CHECK(te::CheckAgainst(workload, expected, *candidate, RunHere) == absl::OkStatus());
}

TEST_CASE("default schedules of all operators are right on an OpenCL device", "[opencl]") {
  if (!HasDevice()) return;
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

// The lowered programs of `count` configs, drawn at random.
void CheckConfigs(const te::OpSpec& spec, int count, uint64_t seed, bool on_device) {
  CAPTURE(spec.name, spec.op, seed);
  const te::Workload workload = te::MakeWorkload(spec).value();
  const auto space = space::BuildSpace(workload, Target(), 1);
  REQUIRE(space.ok());
  const te::Expected expected = te::ComputeExpected(workload, 1).value();
  Rng rng(seed);
  for (int i = 0; i < count; ++i) {
    const space::Config config = space->Sample(rng);
    CAPTURE(space->ToJson(config));
    CHECK(space->Validate(config) == absl::OkStatus());
    const auto trace = space->ToTrace(config);
    REQUIRE(trace.ok());
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
        te::OpSpec{"sm", "softmax", {{"m", "100"}, {"n", "1000"}}}}) {
    CAPTURE(spec.name);
    const auto workload = te::MakeWorkload(spec);
    INFO(workload.status());
    REQUIRE(workload.ok());
    const auto space = space::BuildSpace(*workload, small, 1);
    REQUIRE(space.ok());
    std::set<uint64_t> hashes;
    std::set<std::string> configs;
    for (int i = 0; i < 200; ++i) {
      const space::Config config = space->Sample(rng);
      CAPTURE(space->ToJson(config));
      configs.insert(space->ToJson(config));
      const auto schedule = space->ToSchedule(config);
      REQUIRE(schedule.ok());
      const auto loops = schedule::InferBounds(*schedule);
      REQUIRE(loops.ok());
      hashes.insert(schedule::LoopHash(*schedule, *loops));
      const auto program = passes::Lower(*schedule, *loops, "kernel");
      INFO(program.status());
      REQUIRE(program.ok());
      const auto code = GenerateOpenCl({*program}, small);
      INFO(code.status());
      REQUIRE(code.ok());
    }
    CHECK(static_cast<double>(hashes.size()) >= 0.99 * static_cast<double>(configs.size()));
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

TEST_CASE("programs of the space of a GPU are right", "[opencl]") {
  const bool on_device = HasDevice();
  uint64_t seed = 1;
  for (const te::OpSpec& spec : te::TestWorkloads()) CheckConfigs(spec, 2, seed++, on_device);
}

}  // namespace
}  // namespace tessera::codegen::gpu
