#include <catch2/catch.hpp>

#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/rng.h"
#include "tests/support/temporary_directory.h"
#include "tests/worker/builder/requests.h"

namespace tessera::builder {
namespace {

using namespace std::chrono_literals;

// The process's CPU time so far in clock ticks; -1 when it is gone.
int64_t CpuTicks(pid_t process) {
  std::ifstream file(absl::StrCat("/proc/", process, "/stat"));
  std::string word;
  int64_t user = -1;
  for (int field = 1; field <= 13 && file >> word; ++field) {
  }
  return file >> user ? user : -1;
}

int64_t ResidentBytes(pid_t process) {
  std::ifstream file(absl::StrCat("/proc/", process, "/statm"));
  int64_t mapped = 0, resident = 0;
  file >> mapped >> resident;
  return resident * 4096;
}

// Sends `signal` to the builder's one child once it has worked for a while on its request, until it
// is gone: LLVM's handlers swallow one that no instruction raises again.
pid_t SignalInMidBuild(const Builder& builder, int signal, pid_t other_than = -1) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  pid_t process = -1;
  int64_t before = -1;
  while (std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(5ms);
    const std::vector<pid_t> children = builder.children();
    if (children.size() != 1 || children[0] == other_than) continue;
    const int64_t ticks = CpuTicks(children[0]);
    if (children[0] != process) before = ticks;
    process = children[0];
    if (ticks < before + 20) continue;
    for (; CpuTicks(process) >= 0 && std::chrono::steady_clock::now() < deadline;
         std::this_thread::sleep_for(5ms)) {
      kill(process, signal);
    }
    return process;
  }
  return -1;
}

TEST_CASE("a child killed from outside is no candidate's fault and the slot recovers",
          "[builder]") {
  const auto builder = MakeBuilder();
  const pid_t first = builder->children().at(0);
  agent::BuildOutput output;
  std::thread build([&] { output = builder->Build(LongRequest(), -1); });
  CHECK(SignalInMidBuild(*builder, SIGKILL) == first);
  build.join();
  CHECK(output.result.outcome == db::Outcome::kInfrastructure);
  CHECK_THAT(output.result.reason, Catch::Contains("SIGKILL"));
  CHECK(output.result.fence == LongRequest().fence);
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
  CHECK(builder->children().at(0) != first);
}

TEST_CASE("a cancelled build ends at once and the slot recovers", "[builder]") {
  const auto builder = MakeBuilder();
  std::atomic<bool> ended = false;
  agent::BuildOutput output;
  std::thread build([&] {
    output = builder->Build(LongRequest(), -1);
    ended = true;
  });
  while (CpuTicks(builder->children().at(0)) < 20) std::this_thread::sleep_for(5ms);
  builder->Cancel(LongRequest().fence + 1);
  std::this_thread::sleep_for(50ms);
  CHECK_FALSE(ended);  // that was another's
  builder->Cancel(LongRequest().fence);
  build.join();
  CHECK(output.result.reason == "cancelled");  // not built to its end
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
  builder->Cancel(7);  // nobody's
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
}

TEST_CASE("a crash in a fresh child is a build error", "[builder]") {
  const auto builder = MakeBuilder();
  agent::BuildOutput output;
  std::thread build([&] { output = builder->Build(LongRequest(), -1); });
  SignalInMidBuild(*builder, SIGSEGV);
  build.join();
  CHECK(output.result.outcome == db::Outcome::kBuildError);
  CHECK_THAT(output.result.reason, Catch::Contains("crashed with SIGSEGV"));
  CHECK(output.result.build_seconds > 0);
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
}

TEST_CASE("a crash in a used child is tried again in a fresh one", "[builder]") {
  const auto builder = MakeBuilder();
  REQUIRE(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
  agent::BuildOutput output;
  std::thread build([&] { output = builder->Build(LongRequest(), -1); });
  const pid_t first = SignalInMidBuild(*builder, SIGILL);
  const pid_t second = SignalInMidBuild(*builder, SIGBUS, first);
  build.join();
  CHECK(second > 0);
  CHECK(output.result.outcome == db::Outcome::kBuildError);
  CHECK_THAT(output.result.reason, Catch::Contains("SIGBUS"));
}

TEST_CASE("a child that dies between builds is replaced without a word", "[builder]") {
  const auto builder = MakeBuilder();
  const proto::BuildRequest request = RequestFor(SmallConvolution());
  REQUIRE(builder->Build(request, -1).result.outcome == db::Outcome::kOk);
  kill(builder->children().at(0), SIGKILL);
  std::this_thread::sleep_for(20ms);
  CHECK(builder->Build(request, -1).result.outcome == db::Outcome::kOk);
}

TEST_CASE("a build beyond its time is ended and the slot recovers", "[builder]") {
  const auto builder = MakeBuilder();
  proto::BuildRequest request = LongRequest();
  request.max_seconds = 0.25;
  const agent::BuildOutput output = builder->Build(request, -1);
  // On a machine that is so busy that the child got less than half of the time, it says that.
  if (output.result.outcome == db::Outcome::kInfrastructure) {
    CHECK_THAT(output.result.reason, Catch::Contains("CPU time"));
  } else {
    CHECK(output.result.outcome == db::Outcome::kBuildError);
    CHECK_THAT(output.result.reason, Catch::Contains("longer than its 0.25 s"));
  }
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
}

TEST_CASE("a stopped child costs its build's time and is not the candidate's fault", "[builder]") {
  const auto builder = MakeBuilder();
  kill(builder->children().at(0), SIGSTOP);
  proto::BuildRequest request = RequestFor(SmallConvolution());
  request.max_seconds = 0.1;
  const agent::BuildOutput output = builder->Build(request, -1);
  CHECK(output.result.outcome == db::Outcome::kInfrastructure);
  CHECK_THAT(output.result.reason, Catch::Contains("CPU time"));
  request.max_seconds = 30;
  CHECK(builder->Build(request, -1).result.outcome == db::Outcome::kOk);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a build beyond its memory is a build error that names the limit", "[builder]") {
  BuilderOptions options = TestOptions();
  options.memory_bytes = 3 << 20;
  proto::BuildRequest request = RequestFor(LargeConvolution());
  // Two thousand multiplications in a row.
  request.trace =
      "trace 1\ninline pad\nsplit conv ic 16\nsplit conv ow 14\n"
      "reorder conv n oc oh ow.0 ic.0 ic.1 kh kw ow.1\n"
      "unroll conv ic.1\nunroll conv kh\nunroll conv kw\nunroll conv ow.1\n";
  const agent::BuildOutput output = MakeBuilder(options)->Build(request, -1);
  INFO(output.result.build_seconds);
  CHECK(output.result.outcome == db::Outcome::kBuildError);
  CHECK_THAT(output.result.reason, Catch::Contains("3 MiB of memory"));
}
#endif

TEST_CASE("a program that is no build child is refused when the builder is made", "[builder]") {
  BuilderOptions options = TestOptions();
  options.program = "/bin/false";
  auto builder = Builder::Create(options);
  REQUIRE_FALSE(builder.ok());
  CHECK_THAT(std::string(builder.status().message()),
             Catch::Contains("/bin/false did not start") && Catch::Contains("code 1"));
  options.program = "/nonexistent/worker";
  builder = Builder::Create(options);
  REQUIRE_FALSE(builder.ok());
  CHECK_THAT(std::string(builder.status().message()), Catch::Contains("/nonexistent/worker"));
  options = TestOptions();
  options.slots = 0;
  CHECK_FALSE(Builder::Create(options).ok());
}

TEST_CASE("more callers than slots all get their artifacts", "[builder]") {
  BuilderOptions options = TestOptions();
  options.slots = 2;
  options.builds_per_child = 3;
  const auto builder = MakeBuilder(options);
  CHECK(builder->children().size() == 2);
  const proto::BuildRequest request = RequestFor(SmallConvolution());
  std::atomic<int> built = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 5; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 4; ++i) {
        built += builder->Build(request, 0).result.outcome == db::Outcome::kOk ? 1 : 0;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(built == 20);
}

TEST_CASE("no temporary files and no processes stay behind", "[builder]") {
  const test::TemporaryDirectory directory;
  const char* const before = getenv("TMPDIR");
  const std::string restored = before == nullptr ? "/tmp" : before;
  setenv("TMPDIR", directory.path.c_str(), 1);
  auto builder = MakeBuilder();
  agent::BuildOutput output;
  std::thread build([&] { output = builder->Build(LongRequest(), -1); });
  SignalInMidBuild(*builder, SIGKILL);
  build.join();
  CHECK(builder->Build(RequestFor(SmallConvolution()), -1).result.outcome == db::Outcome::kOk);
  const pid_t child = builder->children().at(0);
  builder.reset();
  setenv("TMPDIR", restored.c_str(), 1);
  CHECK(kill(child, 0) != 0);
  CHECK(std::filesystem::is_empty(directory.path));
}

#if !defined(__SANITIZE_ADDRESS__)  // the sanitizer keeps freed memory
TEST_CASE("a child's memory stays flat over hundreds of builds", "[builder]") {
  constexpr uint64_t kSeed = 17;
  CAPTURE(kSeed);
  const auto builder = MakeBuilder();
  const te::Workload workload = SmallConvolution();
  const space::ConfigSpace space = SpaceOf(workload);
  Rng rng(kSeed);
  std::vector<proto::BuildRequest> requests;
  for (int i = 0; i < 20; ++i) requests.push_back(SampledRequest(workload, space, rng));
  const pid_t child = builder->children().at(0);
  const auto build_all = [&] {
    for (const proto::BuildRequest& request : requests) {
      REQUIRE(builder->Build(request, -1).result.outcome == db::Outcome::kOk);
    }
  };
  for (int i = 0; i < 3; ++i) build_all();
  const int64_t before = ResidentBytes(child);
  for (int i = 0; i < 10; ++i) build_all();
  CHECK(builder->children().at(0) == child);
  const int64_t growth_a_build = (ResidentBytes(child) - before) / 200;
  CAPTURE(before, growth_a_build);
  CHECK(before > 0);
  CHECK(growth_a_build < 20'000);
}
#endif

// Not run by default: prints how many C2 kernels one slot builds a second.
TEST_CASE("throughput", "[.][throughput]") {
  const auto builder = MakeBuilder();
  const te::Workload workload = LargeConvolution();
  const space::ConfigSpace space = SpaceOf(workload);
  Rng rng(1);
  std::vector<proto::BuildRequest> requests;
  for (int i = 0; i < 201; ++i) requests.push_back(SampledRequest(workload, space, rng));
  const agent::BuildOutput warm = builder->Build(requests[0], 0);
  double inside = 0;
  std::vector<double> times;
  int failures = 0;
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 1; i < requests.size(); ++i) {
    const agent::BuildOutput output = builder->Build(requests[i], 0);
    failures += output.result.outcome == db::Outcome::kOk ? 0 : 1;
    if (output.result.outcome != db::Outcome::kOk) {
      WARN(output.result.reason << "\n" << requests[i].trace);
    }
    times.push_back(output.result.build_seconds);
    inside += output.result.build_seconds;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::sort(times.begin(), times.end());
  WARN("builds/s " << 200 / seconds << ", first " << warm.result.build_seconds << " s, median "
                   << times[100] << " s, p95 " << times[190] << " s, worst " << times[199]
                   << " s, in the compiler " << inside / seconds << ", failures " << failures
                   << ", RSS MiB " << (ResidentBytes(builder->children().at(0)) >> 20));
}

}  // namespace
}  // namespace tessera::builder
