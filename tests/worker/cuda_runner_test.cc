// Measures hand-written kernels on the first CUDA device through the worker's program, as a worker
// does. Where there is no such device, ctest lets tests/cuda/driver.cc stand in for it.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "proto/device_code.h"
#include "tests/worker/doubling.h"
#include "worker/device_kinds.h"
#include "worker/runner/cuda/device.h"
#include "worker/runner/device_host.h"
#include "worker/runner/kernel_runner.h"
#include "worker/sandbox/program_spawner.h"

namespace tessera {
namespace {

using db::Outcome;

bool HasDevice() {
  const auto devices = cuda::ListDevices();
  if (devices.ok() && !devices->empty()) return true;
  WARN("skipped, no CUDA device: " << devices.status());
  return false;
}

runner::KernelRunner& SharedRunner() {
  static sandbox::ProgramSpawner spawner({TESSERA_WORKER, runner::kDeviceHostArgument, "cuda", ""});
  static runner::KernelRunner runner(spawner,
                                     {.kind = "cuda", .time_source = runner::TimeSource::kDevice});
  return runner;
}

// y = 2 x, 1,000 of them in blocks of 64, by way of shared memory. `count`: how many are written;
// `sum`: "add.f32" for twice.
proto::DeviceCode Doubling(const std::string& count = "999", const std::string& sum = "add.f32") {
  proto::DeviceCode code;
  code.kind = "cuda";
  code.launches = {{"twice", {16, 1, 1}, {64, 1, 1}, 256, {{0}, {1}}}};
  code.source = R"(.version 6.0
.target sm_70
.address_size 64
.extern .shared .align 16 .b8 tessera_shared[];
.visible .entry twice(
	.param .u64 twice_param_0,
	.param .u64 twice_param_1
)
.reqntid 64, 1, 1
{
	.reg .pred 	%p<2>;
	.reg .b32 	%r<5>;
	.reg .f32 	%f<4>;
	.reg .b64 	%rd<9>;
	ld.param.u64 	%rd1, [twice_param_0];
	ld.param.u64 	%rd2, [twice_param_1];
	mov.u32 	%r1, %ctaid.x;
	mov.u32 	%r2, %tid.x;
	shl.b32 	%r3, %r1, 6;
	add.s32 	%r4, %r3, %r2;
	setp.gt.s32 	%p1, %r4, )" +
                count +
                R"(;
	@%p1 bra 	$END;
	mul.wide.u32 	%rd3, %r4, 4;
	add.s64 	%rd4, %rd1, %rd3;
	ld.global.f32 	%f1, [%rd4];
	mul.wide.u32 	%rd5, %r2, 4;
	mov.u64 	%rd6, tessera_shared;
	add.s64 	%rd7, %rd6, %rd5;
	st.shared.f32 	[%rd7], %f1;
	ld.shared.f32 	%f2, [%rd7];
	)" + sum +
                R"( 	%f3, %f1, %f2;
	add.s64 	%rd8, %rd2, %rd3;
	st.global.f32 	[%rd8], %f3;
$END:
	ret;
}
)";
  return code;
}

db::Measurement Measure(const runner::MeasurePlan& plan) {
  return MeasureOne(SharedRunner(), plan);
}

TEST_CASE("a good kernel is verified and timed on a CUDA device", "[cuda]") {
  if (!HasDevice()) return;
  const db::Measurement measured = Measure(DoublingPlan(Doubling()));
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
  CHECK(measured.sample_seconds.size() == 3);
  CHECK(measured.CostSeconds() > 0);
}

TEST_CASE("what a kernel does wrong on a CUDA device is its outcome", "[cuda]") {
  if (!HasDevice()) return;
  const auto outcome_of = [](const proto::DeviceCode& code) { return Measure(DoublingPlan(code)); };
  CHECK(outcome_of(Doubling("999", "mul.f32")).outcome == Outcome::kWrongAnswer);
  CHECK(outcome_of(Doubling("998")).outcome == Outcome::kWrongAnswer);
  const db::Measurement beyond = outcome_of(Doubling("1002"));
  CHECK(beyond.outcome == Outcome::kWrongAnswer);
  CHECK_THAT(beyond.reason, Catch::Contains("past the end of y"));
  const db::Measurement refused = outcome_of(Doubling("999", "double.f32"));
  CHECK(refused.outcome == Outcome::kRunError);
  CHECK_THAT(refused.reason, Catch::Contains("CUDA_ERROR_INVALID_PTX"));
  proto::DeviceCode greedy = Doubling();
  greedy.launches[0].shared_bytes = 1 << 20;
  const db::Measurement too_much = outcome_of(greedy);
  CHECK(too_much.outcome == Outcome::kRunError);
  CHECK_THAT(too_much.reason, Catch::Contains("1048576 bytes of shared memory"));
  proto::DeviceCode other = Doubling();
  other.kind = "opencl";
  CHECK_THAT(outcome_of(other).reason, Catch::Contains("this runner is of cuda, not of opencl"));
}

TEST_CASE("a kernel that leaves its memory ends no runner", "[cuda]") {
  if (!HasDevice()) return;
  proto::DeviceCode wild = Doubling();
  wild.source.replace(wild.source.find("[%rd4]"), 6, "[%rd3]");
  const db::Measurement measured = Measure(DoublingPlan(wild));
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kRunError);
  CHECK_THAT(measured.reason, Catch::Contains("CUDA_ERROR_ILLEGAL_ADDRESS"));
  CHECK(Measure(DoublingPlan(Doubling())).outcome == Outcome::kOk);
}

TEST_CASE("a CUDA device is described by its target and class", "[cuda]") {
  if (!HasDevice()) return;
  const auto host = FindDeviceKind("cuda")->describe("");
  INFO(host.status());
  REQUIRE(host.ok());
  CHECK_THAT(host->target, Catch::StartsWith("cuda/sm_"));
  CHECK_THAT(host->target, Catch::Contains(" block=1024 wave=32 shared="));
  CHECK_THAT(host->target, Catch::EndsWith(" registers=65536"));
  CHECK_THAT(host->device_class.name, Catch::StartsWith("cuda/"));
  const auto none = FindDeviceKind("cuda")->describe("Voodoo");
  CHECK(none.status().code() == absl::StatusCode::kNotFound);
  CHECK_THAT(std::string(none.status().message()), Catch::Contains("there are \""));
}

}  // namespace
}  // namespace tessera
