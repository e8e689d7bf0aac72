// Measures hand-written kernels on an OpenCL device, if there is one, through the worker's
// program, as a worker does.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "proto/device_code.h"
#include "tests/support/opencl_device.h"
#include "tests/support/temporary_directory.h"
#include "tests/worker/doubling.h"
#include "worker/device_kinds.h"
#include "worker/runner/device_host.h"
#include "worker/runner/kernel_runner.h"
#include "worker/runner/opencl/device.h"
#include "worker/runner/program_cache.h"
#include "worker/sandbox/program_spawner.h"

namespace tessera {
namespace {

using db::Outcome;

sandbox::ProgramSpawner MakeSpawner() {
  return sandbox::ProgramSpawner(
      {TESSERA_WORKER, runner::kDeviceHostArgument, "opencl", OpenClTestDevice()});
}

runner::KernelRunner& SharedRunner() {
  static sandbox::ProgramSpawner spawner = MakeSpawner();
  static runner::KernelRunner runner(
      spawner, {.kind = "opencl", .time_source = runner::TimeSource::kDevice});
  return runner;
}

// y = 2 x, 1,000 of them in blocks of 64.
proto::DeviceCode Doubling(const std::string& statement = "if (i < 1000) y[i] = 2 * x[i];") {
  proto::DeviceCode code;
  code.kind = "opencl";
  code.launches = {{"twice", {16, 1, 1}, {64, 1, 1}, 0, {{0}, {1}}}};
  code.source =
      "__kernel void twice(__global const float* x, __global float* y) {\n"
      "  const int i = get_global_id(0);\n  " +
      statement + "\n}\n";
  return code;
}

db::Measurement Measure(const runner::MeasurePlan& plan) {
  return MeasureOne(SharedRunner(), plan);
}

TEST_CASE("a good kernel is verified and timed on a device", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  const db::Measurement measured = Measure(DoublingPlan(Doubling()));
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
  CHECK(measured.sample_seconds.size() == 3);
  CHECK(measured.CostSeconds() > 0);
  CHECK(measured.CostSeconds() < 0.1);
}

TEST_CASE("what a kernel does wrong on a device is its outcome", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  const auto outcome_of = [](const std::string& statement) {
    return Measure(DoublingPlan(Doubling(statement)));
  };
  const db::Measurement wrong = outcome_of("if (i < 1000) y[i] = 3 * x[i];");
  CHECK(wrong.outcome == Outcome::kWrongAnswer);
  const db::Measurement partial = outcome_of("if (i < 999) y[i] = 2 * x[i];");
  CHECK(partial.outcome == Outcome::kWrongAnswer);
  const db::Measurement beyond = outcome_of("if (i < 1003) y[i] = 2 * x[i % 1000];");
  CHECK(beyond.outcome == Outcome::kWrongAnswer);
  CHECK_THAT(beyond.reason, Catch::Contains("past the end of y"));
  const db::Measurement refused = outcome_of("this is no C;");
  CHECK(refused.outcome == Outcome::kRunError);
  CHECK_THAT(refused.reason, Catch::Contains("CL_BUILD_PROGRAM_FAILURE"));
}

TEST_CASE("a kernel that never ends, or ends its driver, ends no runner", "[opencl]") {
  const auto device = FindOpenClTestDevice();
  if (!device) return;
  runner::MeasurePlan endless = DoublingPlan(Doubling("while (x[0] < 1000) y[i % 1000] += 1;"));
  endless.call_timeout = absl::Seconds(3);
  const db::Measurement measured = Measure(endless);
  INFO(measured.reason);
  // Mesa's llvmpipe leaves the loops of a thread after 65,535 turns.
  const bool ends = absl::StrContains(device->name, "llvmpipe");
  CHECK(measured.outcome == (ends ? Outcome::kWrongAnswer : Outcome::kTimeout));
  if (!device->is_gpu) {
    // On a driver for CPUs a kernel has the process's memory.
    const db::Measurement crashed =
        Measure(DoublingPlan(Doubling("*(__global volatile int*)8 = i;")));
    INFO(crashed.reason);
    CHECK(crashed.outcome == Outcome::kRunError);
    CHECK_THAT(crashed.reason, Catch::Contains("SIGSEGV"));
  }
  CHECK(Measure(DoublingPlan(Doubling())).outcome == Outcome::kOk);
}

TEST_CASE("threads of a large block may hold much across a barrier", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  // 12 MB of a block's threads.
  proto::DeviceCode code = Doubling(
      "float held[3000];\n"
      "  for (int k = 0; k < 3000; ++k) held[k] = x[i % 1000];\n"
      "  barrier(CLK_LOCAL_MEM_FENCE);\n"
      "  if (i < 1000) y[i] = 2 * held[get_num_groups(0)];");
  code.launches[0].blocks = {1, 1, 1};
  code.launches[0].threads = {1024, 1, 1};
  const db::Measurement measured = Measure(DoublingPlan(code));
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
}

TEST_CASE("a kernel reads one buffer as constant memory and as an image", "[opencl]") {
  const auto device = FindOpenClTestDevice();
  if (!device || device->image_texels == 0) return;
  proto::DeviceCode code = Doubling();
  code.launches[0].arguments = {
      {0, proto::ArgumentKind::kImageF32}, {0, proto::ArgumentKind::kConstant}, {1}};
  code.source =
      "__kernel void twice(__read_only image1d_buffer_t x, const int first,\n"
      "                    __constant float* c, __global float* y) {\n"
      "  const int i = get_global_id(0);\n"
      "  if (i < 250) vstore4(read_imagef(x, first + i) + vload4(i, c), i, y);\n}\n";
  const db::Measurement measured = Measure(DoublingPlan(code));
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
}

TEST_CASE("constants are prepared on the device before the first call", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  proto::DeviceCode code = Doubling();
  code.workspace_bytes = 4 * kCount;
  code.source =
      "__kernel void prepare(__global const float* x, __global float* p) {\n"
      "  p[get_global_id(0)] = 2 * x[get_global_id(0)];\n}\n"
      "__kernel void first(__global const float* p, __global uchar* w) {\n"
      "  ((__global float*)w)[get_global_id(0)] = p[get_global_id(0)];\n}\n"
      "__kernel void second(__global const uchar* w, __global float* y) {\n"
      "  y[get_global_id(0)] = ((__global const float*)w)[get_global_id(0)];\n}\n";
  const std::array<int64_t, 3> blocks = {10, 1, 1}, threads = {100, 1, 1};
  code.preparation = {{"prepare", blocks, threads, 0, {{0}, {2}}}};
  code.launches = {{"first", blocks, threads, 0, {{2}, {proto::kWorkspaceArgument}}},
                   {"second", blocks, threads, 0, {{proto::kWorkspaceArgument}, {1}}}};
  runner::MeasurePlan plan = DoublingPlan(code);
  plan.buffers[0].is_constant = true;
  plan.candidates[0].prepare_symbol = "prepare";
  plan.candidates[0].prepared_bytes = {4 * kCount};
  const db::Measurement measured = Measure(plan);
  INFO(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);
}

// A runner that keeps what the driver compiles.
struct KeepingRunner {
  explicit KeepingRunner(const std::string& compiler = *opencl::CompilerOf(OpenClTestDevice()))
      : cache(*runner::ProgramCache::Open({.directory = folder.path, .compiler = compiler})),
        runner(spawner, {.kind = "opencl",
                         .time_source = runner::TimeSource::kDevice,
                         .programs = cache.get()}) {}

  // By turns, whose programs are kept.
  db::Measurement Compare(const proto::DeviceCode& code) {
    runner::MeasurePlan plan = DoublingPlan(code);
    plan.candidates.push_back(plan.candidates.front());
    auto measured = runner.Measure(plan);
    INFO(measured.status());
    REQUIRE(measured.ok());
    INFO(measured->front().reason);
    CHECK(measured->front().outcome == measured->back().outcome);
    return measured->front();
  }
  std::string KeyOf(const proto::DeviceCode& code) const { return cache->KeyOf(Print(code)); }
  std::string Kept(const proto::DeviceCode& code) { return cache->Get(KeyOf(code)); }

  test::TemporaryDirectory folder;
  std::unique_ptr<runner::ProgramCache> cache;
  sandbox::ProgramSpawner spawner = MakeSpawner();
  runner::KernelRunner runner;
};

const char kTriples[] = "if (i < 1000) y[i] = 3 * x[i];";

TEST_CASE("programs that are started again are compiled once", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  KeepingRunner keeping;
  CHECK(MeasureOne(keeping.runner, DoublingPlan(Doubling())).outcome == Outcome::kOk);
  CHECK(keeping.Kept(Doubling()).empty());
  CHECK(keeping.Compare(Doubling()).outcome == Outcome::kOk);
  const std::string binary = keeping.Kept(Doubling());
  CHECK_FALSE(binary.empty());
  // A binary of the right values under the name of a source of wrong ones shows which is used.
  keeping.cache->Put(keeping.KeyOf(Doubling(kTriples)), binary);
  CHECK(keeping.Compare(Doubling(kTriples)).outcome == Outcome::kOk);
  CHECK(MeasureOne(keeping.runner, DoublingPlan(Doubling(kTriples))).outcome == Outcome::kOk);
  CHECK(keeping.Kept(Doubling(kTriples)) == binary);
}

TEST_CASE("what a driver refuses as a binary is compiled from source", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  KeepingRunner keeping;
  keeping.cache->Put(keeping.KeyOf(Doubling()), "no binary");
  CHECK(keeping.Compare(Doubling()).outcome == Outcome::kOk);
  const std::string kept = keeping.Kept(Doubling());
  CHECK_FALSE(kept.empty());
  CHECK(kept != "no binary");
}

TEST_CASE("a kept binary that fails is forgotten, and the source compiled", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  KeepingRunner keeping;
  // A binary that triples: no runner keeps it, a device hands it out.
  const auto device = *opencl::OpenDevice(OpenClTestDevice());
  for (int i = 0; i < 2; ++i) REQUIRE(device->AddBuffer(4 * kCount).ok());
  REQUIRE(device->Load(Doubling(kTriples), "").ok());
  const std::string wrong = device->Binary();
  REQUIRE_FALSE(wrong.empty());
  keeping.cache->Put(keeping.KeyOf(Doubling()), wrong);
  CHECK(MeasureOne(keeping.runner, DoublingPlan(Doubling())).outcome == Outcome::kOk);
  CHECK(keeping.Kept(Doubling()).empty());
  keeping.cache->Put(keeping.KeyOf(Doubling()), wrong);
  CHECK(keeping.Compare(Doubling()).outcome == Outcome::kOk);
  CHECK_FALSE(keeping.Kept(Doubling()).empty());
  CHECK(keeping.Kept(Doubling()) != wrong);
}

TEST_CASE("of a program that fails, and by another driver, nothing is kept", "[opencl]") {
  if (!FindOpenClTestDevice()) return;
  KeepingRunner keeping;
  CHECK(keeping.Compare(Doubling(kTriples)).outcome == Outcome::kWrongAnswer);
  CHECK(keeping.Kept(Doubling(kTriples)).empty());
  KeepingRunner before("the driver when the worker began");
  before.cache->Put(before.KeyOf(Doubling()), "its binary");
  CHECK(before.Compare(Doubling()).outcome == Outcome::kOk);
  CHECK(before.Kept(Doubling()) == "its binary");
}

TEST_CASE("an OpenCL device is described by its target and class", "[opencl]") {
  const auto device = FindOpenClTestDevice();
  if (!device) return;
  const auto host = FindDeviceKind("opencl")->describe(OpenClTestDevice());
  REQUIRE(host.ok());
  CHECK_THAT(host->target, Catch::StartsWith("opencl"));
  // Every device has some; images not.
  CHECK_THAT(host->target, Catch::Contains(" constant="));
  CHECK(absl::StrContains(host->target, " texels=") == (device->image_texels > 0));
  CHECK_THAT(host->device_class.name, Catch::StartsWith("opencl/"));
  const absl::Status unknown = FindDeviceKind("opencl")->describe("no such device").status();
  CHECK(absl::IsNotFound(unknown));
  CHECK_THAT(std::string(unknown.message()), Catch::Contains("there are \""));
}

}  // namespace
}  // namespace tessera
