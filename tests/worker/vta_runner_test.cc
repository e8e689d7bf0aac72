// Measures programs on the simulated accelerator through the worker's program, as a worker does.

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/worker/doubling.h"
#include "tests/worker/vta_programs.h"
#include "worker/device_kinds.h"
#include "worker/runner/device_host.h"
#include "worker/runner/kernel_runner.h"
#include "worker/runner/vta/device.h"
#include "worker/sandbox/program_spawner.h"

namespace tessera {
namespace {

using db::Outcome;

runner::KernelRunner& SharedRunner() {
  static sandbox::ProgramSpawner spawner(
      {TESSERA_WORKER, runner::kDeviceHostArgument, "vta-sim", vta::kNoPipelines});
  static runner::KernelRunner runner(
      spawner, {.kind = "vta-sim", .time_source = runner::TimeSource::kSimulator});
  return runner;
}

runner::KernelArtifact ArtifactOf(const proto::DeviceCode& code) {
  runner::KernelArtifact artifact;
  artifact.name = "candidate";
  artifact.bytes = Print(code);
  artifact.symbol = "product";
  return artifact;
}

runner::MeasurePlan PlanOf(const proto::DeviceCode& code) {
  using runner::ElementType;
  runner::MeasurePlan plan;
  plan.workload_hash = "product";
  plan.seed = 5;
  plan.buffers = {{"x", ElementType::kI8, {vta::kRows, vta::kDepth, 16}},
                  {"w", ElementType::kI8, {vta::kColumns, vta::kDepth, 16, 16}},
                  {"y", ElementType::kI8, {vta::kRows, vta::kColumns, 16}, /*is_output=*/true}};
  const std::string inputs = runner::SeededInput(plan.buffers[0], 0, plan.seed);
  const std::string weights = runner::SeededInput(plan.buffers[1], 1, plan.seed);
  const std::vector<int8_t> expected = vta::PlainProduct(
      reinterpret_cast<const int8_t*>(inputs.data()),
      reinterpret_cast<const int8_t*>(weights.data()), vta::kRows, vta::kColumns, vta::kDepth);
  plan.expectation.values = {
      std::string(reinterpret_cast<const char*>(expected.data()), expected.size())};
  plan.tolerances = {{0, 0}};
  plan.candidates = {ArtifactOf(code)};
  return plan;
}

db::Measurement Measure(const proto::DeviceCode& code) {
  return MeasureOne(SharedRunner(), PlanOf(code));
}

// The product with its shift of 4, or what stands in for it in the text.
proto::DeviceCode CodeWith(const std::string& from, const std::string& to) {
  proto::DeviceCode code = vta::CodeOf(vta::SmallProduct());
  const size_t at = code.source.find(from);
  REQUIRE(at != std::string::npos);
  code.source.replace(at, from.size(), to);
  return code;
}

TEST_CASE("a good program is verified on the simulator, which says its time once", "[vta]") {
  const auto device = vta::OpenSimulator(vta::kNoPipelines);
  REQUIRE(device.ok());
  for (const int64_t bytes : {vta::kInputBytes, vta::kWeightBytes, vta::kResultBytes}) {
    REQUIRE((*device)->AddBuffer(bytes).ok());
  }
  REQUIRE((*device)->Load(vta::CodeOf(vta::SmallProduct()), "").ok());
  const double seconds = (*device)->Call(1).value();

  runner::MeasurePlan plan = PlanOf(vta::CodeOf(vta::SmallProduct()));
  // However far it is from the best, and whatever the caches.
  plan.timing.best_seconds = GENERATE(0.0, 1e-9);
  plan.timing.cache_mode = GENERATE(db::CacheMode::kWarm, db::CacheMode::kCold);
  const db::Measurement measured = MeasureOne(SharedRunner(), plan);
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
  CHECK(measured.sample_seconds == std::vector<double>{seconds});
  CHECK(measured.sample_calls == std::vector<int64_t>{1});
  CHECK(measured.environment.reference_gflops < 0);
}

TEST_CASE("an accelerator may be slower than its simulator", "[vta]") {
  constexpr char kSlow[] =
      R"({"CLOCK_MHZ": 1, "ROW_LATENCY": 100000, "GEMM_DEPTH": 1, "ALU_DEPTH": 1})";
  sandbox::ProgramSpawner spawner({TESSERA_WORKER, runner::kDeviceHostArgument, "vta-sim", kSlow});
  runner::KernelRunner::Options options;
  options.kind = "vta-sim";
  options.time_source = runner::TimeSource::kSimulator;
  runner::KernelRunner slow(spawner, options);
  const db::Measurement measured = MeasureOne(slow, PlanOf(vta::CodeOf(vta::SmallProduct())));
  INFO(measured.reason);
  REQUIRE(measured.outcome == Outcome::kOk);
  CHECK(measured.sample_seconds[0] > measured.run_seconds);
}

TEST_CASE("programs that are compared on the simulator differ by their own cycles", "[vta]") {
  runner::MeasurePlan plan = PlanOf(vta::CodeOf(vta::SmallProduct()));
  plan.candidates.push_back(ArtifactOf(
      vta::CodeOf(vta::ProductCode(vta::kRows, vta::kColumns, vta::kDepth, /*copies=*/1))));
  plan.timing.repeats = 4;
  const auto measured = SharedRunner().Measure(plan);
  INFO(measured.status());
  REQUIRE(measured.ok());
  REQUIRE(measured->size() == 2);
  for (const db::Measurement& one : *measured) {
    INFO(one.reason);
    REQUIRE(one.outcome == Outcome::kOk);
    CHECK(one.sample_seconds == std::vector<double>(4, one.sample_seconds[0]));
  }
  // One copy of what is loaded waits where two go on.
  CHECK((*measured)[0].CostSeconds() < (*measured)[1].CostSeconds());
}

TEST_CASE("what a program does wrong on the simulator is its outcome", "[vta]") {
  const db::Measurement wrong = Measure(CodeWith("alu shr imm 4", "alu shr imm 3"));
  CHECK(wrong.outcome == Outcome::kWrongAnswer);
  const auto error = [](const proto::DeviceCode& code) {
    const db::Measurement measured = Measure(code);
    CHECK(measured.outcome == Outcome::kRunError);
    return measured.reason;
  };
  CHECK_THAT(error(CodeWith("gemm reset", "gemm no")), Catch::Contains("kernel product: "));
  CHECK_THAT(error(CodeWith("buffer 2", "buffer 3")), Catch::Contains("kernel product: "));
  proto::DeviceCode other = vta::CodeOf(vta::SmallProduct());
  other.kind = "opencl";
  CHECK_THAT(error(other), Catch::Contains("this runner is of vta, not of opencl"));
  proto::DeviceCode greedy = vta::CodeOf(vta::SmallProduct());
  greedy.workspace_bytes = int64_t{1} << 33;
  CHECK_THAT(error(greedy), Catch::Contains("the kernels want 8589934592 bytes"));

  // What hardware would silently do wrong is said by the simulator.
  vta::Code unloaded = vta::SmallProduct();
  std::get<vta::Repeat>(unloaded.body[0].what)
      .body.erase(std::get<vta::Repeat>(unloaded.body[0].what).body.begin());
  CHECK_THAT(error(vta::CodeOf(unloaded)),
             Catch::Contains("kernel product: VTA: instruction ") &&
                 Catch::Contains("reads tile 0 of wgt, which nothing was put into"));
  CHECK_THAT(error(vta::CodeOf(vta::ProductCode(vta::kRows + 1, vta::kColumns, vta::kDepth, 1))),
             Catch::Contains("moves what lies outside of its buffers"));
}

TEST_CASE("a program that the simulator is too long at times out", "[vta]") {
  // Every product is one of many millions.
  vta::Code endless = vta::SmallProduct();
  auto& rows = std::get<vta::Repeat>(std::get<vta::Repeat>(endless.body[0].what).body[1].what);
  std::get<vta::Product>(rows.body[2].what).loops = {{.turns = 8000}, {.turns = 8000}};
  runner::MeasurePlan plan = PlanOf(vta::CodeOf(endless));
  plan.call_timeout = absl::Seconds(1);
  const db::Measurement measured = MeasureOne(SharedRunner(), plan);
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kTimeout);
  CHECK(Measure(vta::CodeOf(vta::SmallProduct())).outcome == Outcome::kOk);
}

TEST_CASE("a simulator that ends ends no runner", "[vta]") {
  sandbox::ProgramSpawner spawner({"/bin/false"});
  runner::KernelRunner runner(spawner,
                              {.kind = "vta-sim", .time_source = runner::TimeSource::kSimulator});
  const db::Measurement measured = MeasureOne(runner, PlanOf(vta::CodeOf(vta::SmallProduct())));
  CHECK(measured.outcome == Outcome::kRunError);
  CHECK_THAT(measured.reason, Catch::Contains("ended its process"));
}

TEST_CASE("a simulated accelerator is described by its configuration and timing", "[vta]") {
  const DeviceKind* kind = FindDeviceKind("vta-sim");
  const auto pynq = kind->describe("");
  INFO(pynq.status());
  REQUIRE(pynq.ok());
  CHECK(pynq->target ==
        "vta batch=1 block=16 uop=32768 inp=32768 wgt=262144 acc=131072 pipeline=4");
  CHECK_THAT(pynq->device_class.name, Catch::StartsWith("vta-sim/1x16/100mhz/"));
  CHECK_THAT(pynq->device_class.description, Catch::Contains("weights 256"));
  CHECK(pynq->peak_gops == Approx(51.2));  // 16 x 16 products a cycle of 100 MHz
  CHECK(kind->describe(R"({"LOG_BATCH": 1, "GEMM_INTERVAL": 4})")->peak_gops == Approx(25.6));
  const auto slower = kind->describe(R"({"ROW_LATENCY": 64})");
  REQUIRE(slower.ok());
  CHECK(slower->target == pynq->target);
  CHECK(slower->device_class.name != pynq->device_class.name);
  CHECK(absl::IsInvalidArgument(kind->describe("no JSON").status()));
  // There is no board here.
  CHECK_FALSE(FindDeviceKind("vta")->describe(R"({"REGISTERS": "/dev/uio77"})").ok());
}

}  // namespace
}  // namespace tessera
