#include "worker/runner/kernel_runner.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/test_data.h"
#include "tests/worker/runner/kernels/kernels.h"
#include "worker/runner/cores.h"
#include "worker/runner/turns.h"

namespace tessera::runner {
namespace {

using db::Outcome;

std::string ReadKernels(const std::string& name) {
  std::ifstream file(std::string(TESSERA_TEST_KERNELS) + "/" + name + ".so", std::ios::binary);
  REQUIRE(file.good());
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

KernelArtifact Kernel(const std::string& symbol, const std::string& library = "bad") {
  KernelArtifact kernel;
  kernel.name = symbol;
  kernel.symbol = symbol;
  kernel.bytes = ReadKernels(library);
  return kernel;
}
KernelArtifact Good() { return Kernel("good", "good"); }

KernelRunner& SharedRunner() {
  static std::unique_ptr<sandbox::Sandbox> sandbox = sandbox::Sandbox::Create().value();
  static KernelRunner runner(*sandbox);
  return runner;
}

// c[r, k] = a[r, k] + b[r, k], checked against sampled sums of the seeded inputs.
MeasurePlan AddPlan(KernelArtifact candidate) {
  MeasurePlan plan;
  plan.workload_hash = "00000000000000ad";
  plan.seed = 7;
  for (const char* name : {"a", "b", "c"}) {
    plan.buffers.push_back({name, ElementType::kF32, {TEST_ROWS, TEST_COLUMNS}, *name == 'c'});
  }
  plan.candidates = {std::move(candidate)};
  plan.expectation.reference = Good();
  for (const int64_t index : {int64_t{0}, int64_t{777}, int64_t{TEST_ELEMENTS - 1}}) {
    plan.expectation.samples.push_back(
        {0, index, TestValue(plan.seed, 0, index) + TestValue(plan.seed, 1, index)});
  }
  plan.tolerances = {{1e-6, 1e-6}};
  plan.call_timeout = absl::Milliseconds(1500);
  plan.timing.min_repeat_seconds = 0.001;
  plan.memory_bytes = 64 << 20;
  return plan;
}

db::Measurement MeasureOne(const MeasurePlan& plan) {
  auto measurements = SharedRunner().Measure(plan);
  INFO(measurements.status().ToString());
  REQUIRE(measurements.ok());
  REQUIRE(measurements->size() == 1);
  return measurements->front();
}

void RequireGoodKernelMeasured() {
  const db::Measurement good = MeasureOne(AddPlan(Good()));
  CAPTURE(good.reason);
  REQUIRE(good.outcome == Outcome::kOk);
  REQUIRE(good.sample_seconds.size() == 3);
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

struct Bad {
  const char* symbol;
  Outcome outcome;
  const char* reason;
};
const Bad kBad[] = {
    {"null_dereference", Outcome::kRunError, "SIGSEGV at address 0 (null pointer)"},
    {"crash_at_tenth_call", Outcome::kRunError, "SIGSEGV"},
    {"hang", Outcome::kTimeout, "no answer after 1.5 s"},
    {"hang_at_tenth_call", Outcome::kTimeout, "no answer after"},
    {"eat_memory", Outcome::kOutOfMemory, "out of memory: the limit of"},
    {"wrong_element", Outcome::kWrongAnswer, "c: 1 of 16000 elements are wrong; worst at [3, 7]"},
    {"misses_element", Outcome::kWrongAnswer,
     "c: 1 of 16000 elements are wrong; worst at [63, 249]: "},
    {"does_nothing", Outcome::kWrongAnswer, "c: 16000 of 16000 elements are wrong"},
    {"wrong_at_second_call", Outcome::kWrongAnswer, "(in the second call)"},
    {"wrong_after_tenth_call", Outcome::kWrongAnswer, "(after the timed calls)"},
    {"rests_after_second_call", Outcome::kWrongAnswer, "(after the timed calls)"},
    {"writes_before_start", Outcome::kWrongAnswer, "wrote 9 bytes before c"},
    {"writes_past_end", Outcome::kRunError, "SIGSEGV"},
    {"reads_far_past_end", Outcome::kRunError, "SIGSEGV"},
    {"overwrites_input", Outcome::kWrongAnswer, "overwrote its input b at byte 2"},
    {"aborts", Outcome::kRunError, "SIGABRT"},
    {"overflows_stack", Outcome::kRunError, "stack overflow"},
    {"exits", Outcome::kRunError, "the kernel ended its process: exited with code 0"},
    {"fork_bomb", Outcome::kRunError, "forbidden system call: clone"},
    {"executes", Outcome::kRunError, "forbidden system call: execve"},
    {"connects", Outcome::kRunError, "forbidden system call: socket"},
    {"opens_for_writing", Outcome::kRunError, "forbidden system call: openat"},
    {"calls_null_launcher", Outcome::kRunError, "SIGSEGV"},
    {"forges_reply", Outcome::kRunError, "meddled with the channel"},
    {"no_such_symbol", Outcome::kRunError, "no symbol no_such_symbol"},
};

}  // namespace

TEST_CASE("a good kernel is verified and timed", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.timing.repeats = 5;
  plan.timing.min_repeat_seconds = 0.01;
  const db::Measurement measurement = MeasureOne(plan);
  CAPTURE(measurement.reason);
  REQUIRE(measurement.outcome == Outcome::kOk);
  REQUIRE(measurement.reason.empty());
  REQUIRE(measurement.sample_seconds.size() == 5);
  REQUIRE(measurement.sample_calls.size() == 5);
  double timed_seconds = 0;
  for (size_t i = 0; i < 5; ++i) {
    REQUIRE(measurement.sample_seconds[i] > 0);
    REQUIRE(measurement.sample_calls[i] == measurement.sample_calls[0]);
    timed_seconds += measurement.sample_seconds[i] * measurement.sample_calls[i];
  }
  REQUIRE(measurement.run_seconds > 0.9 * timed_seconds);  // two clocks
  REQUIRE(measurement.environment.load_average >= 0);
  REQUIRE(measurement.environment.peak_memory_bytes > 0);
  REQUIRE(measurement.environment.reference_gflops > 0);
}

TEST_CASE("a repeat has as many calls as fill its time", "[kernel_runner]") {
  // A pause while calls are counted looks like a slow kernel, so the most of some tries.
  MeasurePlan plan = AddPlan(Good());
  int64_t calls_of_short = 0, calls_of_long = 0;
  for (int attempt = 0; attempt < 5 && calls_of_long <= 4 * calls_of_short; ++attempt) {
    plan.timing.min_repeat_seconds = 0.001;
    calls_of_short = MeasureOne(plan).sample_calls.at(0);
    plan.timing.min_repeat_seconds = 0.05;
    calls_of_long = std::max(calls_of_long, MeasureOne(plan).sample_calls.at(0));
  }
  CHECK(calls_of_long > 4 * calls_of_short);
}

TEST_CASE("long calls are not repeated to warm up or to be counted", "[kernel_runner]") {
  // Two calls verify, three are repeats; on a busy machine repeats are made again.
  const MeasurePlan plan = AddPlan(Kernel("long_and_wrong_after_ninth_call"));
  db::Measurement measurement;
  for (int attempt = 0; attempt < 5 && measurement.sample_calls.empty(); ++attempt) {
    if (db::Measurement one = MeasureOne(plan); one.outcome == Outcome::kOk) measurement = one;
  }
  CHECK(measurement.sample_calls == std::vector<int64_t>(3, 1));
}

TEST_CASE("every bad kernel has an outcome with its reason and the runner lives on",
          "[kernel_runner]") {
  for (const Bad& bad : kBad) {
    CAPTURE(bad.symbol);
    if (kAddressSanitizer && bad.outcome == Outcome::kOutOfMemory) continue;
    const db::Measurement measurement = MeasureOne(AddPlan(Kernel(bad.symbol)));
    CAPTURE(measurement.reason, std::string(db::ToString(measurement.outcome)));
    REQUIRE(measurement.outcome == bad.outcome);
    REQUIRE_THAT(measurement.reason, Catch::Contains(bad.reason));
    RequireGoodKernelMeasured();
  }
  REQUIRE(access("/tmp/tessera_kernel_was_here", F_OK) != 0);
}

TEST_CASE("a cancelled plan ends soon and the runner lives on", "[kernel_runner]") {
  std::atomic<bool> cancelled = false;
  MeasurePlan plan = AddPlan(Kernel("hang"));
  plan.call_timeout = absl::Minutes(1);
  plan.cancelled = &cancelled;
  std::thread canceller([&] {
    absl::SleepFor(absl::Milliseconds(200));
    cancelled = true;
  });
  const absl::Time start = absl::Now();
  CHECK(MeasureOne(plan).outcome == Outcome::kCancelled);
  CHECK(absl::Now() - start < absl::Seconds(30));
  canceller.join();
  plan.workload_hash = "00000000000000ae";  // whose reference has not run yet
  CHECK(absl::IsCancelled(SharedRunner().Measure(plan).status()));
  RequireGoodKernelMeasured();
}

TEST_CASE("threads beyond the limit can't be started", "[kernel_runner]") {
  if (kAddressSanitizer) return;
  const db::Measurement measurement = MeasureOne(AddPlan(Kernel("thread_bomb")));
  CAPTURE(measurement.reason);
  REQUIRE(measurement.outcome == Outcome::kRunError);
  REQUIRE_THAT(measurement.reason, Catch::Contains("exited with code 42"));
  RequireGoodKernelMeasured();
}

TEST_CASE("bytes written into the padding of an output are found", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("writes_into_padding"));
  plan.workload_hash = "00000000000000ae";
  for (BufferSpec& buffer : plan.buffers) {
    buffer.type = ElementType::kI8;
    buffer.shape = {1001};
  }
  std::string expected(1001, '\0');
  for (int i = 0; i < 1001; ++i) {
    expected[static_cast<size_t>(i)] = static_cast<char>(TestInteger(plan.seed, 0, i, -8, 7) +
                                                         TestInteger(plan.seed, 1, i, -8, 7));
  }
  plan.expectation = {};
  plan.expectation.values = {expected};
  const db::Measurement measurement = MeasureOne(plan);
  REQUIRE(measurement.outcome == Outcome::kWrongAnswer);
  REQUIRE(measurement.reason == "wrote 1 bytes past the end of c (1001 bytes)");
}

TEST_CASE("corrupt artifacts and hanging constructors are the candidate's failures",
          "[kernel_runner]") {
  KernelArtifact corrupt = Good();
  corrupt.bytes.resize(corrupt.bytes.size() / 3);
  REQUIRE(MeasureOne(AddPlan(corrupt)).outcome == Outcome::kRunError);
  corrupt.bytes = "this is not an ELF file";
  const db::Measurement text = MeasureOne(AddPlan(corrupt));
  REQUIRE(text.outcome == Outcome::kRunError);
  REQUIRE_THAT(text.reason, Catch::Contains("can't be loaded"));
  REQUIRE(MeasureOne(AddPlan(Kernel("good", "constructor"))).outcome == Outcome::kTimeout);
  RequireGoodKernelMeasured();
}

TEST_CASE("kernels with other stored layouts are measured on the same values", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("other_layouts", "good"));
  plan.candidates[0].layouts = {
      {}, {{1, 16, 16}, {0, 1, 64}, {1, 1, 16}}, {{1, 1, 250}, {0, 1, 64}}};
  const db::Measurement measurement = MeasureOne(plan);
  CAPTURE(measurement.reason);
  REQUIRE(measurement.outcome == Outcome::kOk);

  plan.candidates[0].layouts[1] = {{1, 16, 15}, {0, 1, 64}, {1, 1, 16}};
  const auto refused = SharedRunner().Measure(plan);
  REQUIRE(absl::IsInvalidArgument(refused.status()));
  REQUIRE_THAT(
      std::string(refused.status().message()),
      Catch::Contains("other_layouts: b: stored layout: axis 1 of extent 250 is stored for 240"));
}

TEST_CASE("workspaces of the stated size may be used to the last byte", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("uses_workspace", "good"));
  plan.candidates[0].shared_workspace_bytes = 4000;
  plan.candidates[0].private_workspace_bytes = 1000;
  REQUIRE(MeasureOne(plan).outcome == Outcome::kOk);
  plan.candidates[0].shared_workspace_bytes = 3000;
  REQUIRE(MeasureOne(plan).outcome == Outcome::kRunError);
}

TEST_CASE("two pinned threads measure", "[kernel_runner]") {
  const std::vector<int> cores = AllowedCores();
  if (cores.size() < 2) return;
  MeasurePlan plan = AddPlan(Good());
  plan.threads = 2;
  plan.cores = {cores[0], cores[1]};
  const db::Measurement measurement = MeasureOne(plan);
  CAPTURE(measurement.reason);
  REQUIRE(measurement.outcome == Outcome::kOk);

  plan.cores = {cores[0], cores[0]};
  REQUIRE(absl::IsInvalidArgument(SharedRunner().Measure(plan).status()));
  plan.cores = {cores[0], 5000};
  const auto refused = SharedRunner().Measure(plan);
  REQUIRE_THAT(std::string(refused.status().message()), Catch::Contains("core 5000 is not one"));
}

double FastestOf(const db::Measurement& measurement) {
  REQUIRE(measurement.outcome == Outcome::kOk);
  return measurement.CostSeconds();
}

TEST_CASE("a hopeless program is screened out, a contender is repeated", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.timing.min_repeat_seconds = 0.01;
  plan.timing.contender_repeats = 7;
  // On a busy machine a call may take longer when its number is chosen: some tries.
  bool fewer = false, as_many = false;
  for (int attempt = 0; attempt < 10 && !(fewer && as_many); ++attempt) {
    plan.timing.best_seconds = 0;
    const db::Measurement first = MeasureOne(plan);  // nothing to race against
    CHECK(first.sample_seconds.size() == 7);
    const double good = FastestOf(first);

    plan.timing.best_seconds = good / 100;
    const db::Measurement hopeless = MeasureOne(plan);
    CHECK(hopeless.outcome == Outcome::kOk);
    REQUIRE(hopeless.sample_seconds.size() == 2);
    // A tenth of the time, so about a tenth of the calls.
    fewer |= hopeless.sample_calls[0] < first.sample_calls[0] / 3;

    plan.timing.best_seconds = good * 100;
    const db::Measurement contender = MeasureOne(plan);
    CHECK(contender.sample_seconds.size() == 7);
    // What screened it is too short to count.
    as_many |= contender.sample_calls[0] > first.sample_calls[0] / 3;
    CHECK(std::ranges::count(contender.sample_calls, contender.sample_calls[0]) == 7);
  }
  CHECK(fewer);
  CHECK(as_many);
}

TEST_CASE("neither hopeless nor a contender, a program is repeated a few times",
          "[kernel_runner]") {
  // On a busy machine the kernel may be slower than it was a moment ago: some tries.
  MeasurePlan plan = AddPlan(Good());
  plan.timing.min_repeat_seconds = 0.005;
  plan.timing.contender_repeats = 7;
  bool seen = false;
  for (int attempt = 0; attempt < 10 && !seen; ++attempt) {
    plan.timing.best_seconds = 0;
    plan.timing.best_seconds = FastestOf(MeasureOne(plan)) / 1.15;
    seen = MeasureOne(plan).sample_seconds.size() == 3;
  }
  CHECK(seen);
}

TEST_CASE("long calls and cold ones count as repeats when they screen", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.timing.cache_mode = db::CacheMode::kCold;
  plan.timing.best_seconds = 100;
  CHECK(MeasureOne(plan).sample_calls == std::vector<int64_t>(3, 1));
  // Not ruled out by one call, which a disturbance may have met.
  plan.timing.best_seconds = 1e-12;
  CHECK(MeasureOne(plan).sample_calls == std::vector<int64_t>(2, 1));
}

TEST_CASE("a program that is screened out is verified none the less", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("wrong_after_tenth_call"));
  plan.timing.best_seconds = 1e-12;
  const db::Measurement measurement = MeasureOne(plan);
  CHECK(measurement.outcome == Outcome::kWrongAnswer);
}

TEST_CASE("programs of a comparison take turns until they have lost", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.candidates.push_back(Kernel("slow", "good"));
  plan.candidates.push_back(Kernel("null_dereference"));
  plan.candidates.push_back(Kernel("other_layouts", "good"));
  plan.candidates[3].layouts = {
      {}, {{1, 16, 16}, {0, 1, 64}, {1, 1, 16}}, {{1, 1, 250}, {0, 1, 64}}};
  plan.timing.repeats = 12;
  const auto measurements = SharedRunner().Measure(plan).value();
  REQUIRE(measurements.size() == 4);
  CHECK(FastestOf(measurements[1]) > 20 * FastestOf(measurements[0]));
  CHECK(measurements[1].sample_seconds.size() == kLostTurns);
  CHECK(measurements[2].outcome == Outcome::kRunError);
  // The first goes on for as long as there is a rival.
  const size_t turns = measurements[0].sample_seconds.size();
  CHECK(turns == std::max<size_t>(kLostTurns, measurements[3].sample_seconds.size()));
  CHECK(turns <= 12);
  CHECK(measurements[0].environment.reference_gflops > 0);
  CHECK(measurements[0].environment.peak_memory_bytes > 0);
}

TEST_CASE("a rival that is faster stays for every turn, whoever comes first", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("slow", "good"));
  plan.candidates.push_back(Good());
  plan.timing.repeats = 9;
  auto measurements = SharedRunner().Measure(plan).value();
  CHECK(measurements[0].sample_seconds.size() == 9);
  CHECK(measurements[1].sample_seconds.size() == 9);
  // Without the first there is nothing to lose against.
  plan.candidates[0] = Kernel("null_dereference");
  plan.candidates.push_back(Kernel("slow", "good"));
  measurements = SharedRunner().Measure(plan).value();
  CHECK(measurements[0].outcome == Outcome::kRunError);
  CHECK(measurements[1].sample_seconds.size() == 9);
  CHECK(measurements[2].sample_seconds.size() == 9);
}

TEST_CASE("a comparison ends when its time is over, after whole turns", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("slow", "good"));
  plan.candidates.push_back(Good());  // never loses
  plan.timing.repeats = 10'000;
  plan.timing.max_seconds = 0.2;
  const auto measurements = SharedRunner().Measure(plan).value();
  CHECK(measurements[0].sample_seconds.size() >= 1);
  CHECK(measurements[0].sample_seconds.size() < 10'000);
  CHECK(measurements[0].sample_seconds.size() == measurements[1].sample_seconds.size());
}

TEST_CASE("a cancelled comparison ends soon", "[kernel_runner]") {
  std::atomic<bool> cancelled = false;
  MeasurePlan plan = AddPlan(Kernel("slow", "good"));
  plan.candidates.push_back(Good());  // never loses
  plan.timing.repeats = 10'000;
  plan.timing.max_seconds = 600;
  plan.cancelled = &cancelled;
  std::thread canceller([&] {
    absl::SleepFor(absl::Milliseconds(200));
    cancelled = true;
  });
  const absl::Time start = absl::Now();
  CHECK(absl::IsCancelled(SharedRunner().Measure(plan).status()));
  CHECK(absl::Now() - start < absl::Seconds(30));
  canceller.join();
}

TEST_CASE("many candidates with threads are compared", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.candidates.resize(24, plan.candidates[0]);
  plan.threads = 2;
  plan.timing.repeats = 2;
  const auto measurements = SharedRunner().Measure(plan).value();
  REQUIRE(measurements.size() == 24);
  for (const db::Measurement& measurement : measurements) {
    CAPTURE(measurement.reason);
    REQUIRE(measurement.outcome == Outcome::kOk);
  }
  plan.candidates.resize(65, plan.candidates[0]);
  REQUIRE(absl::IsInvalidArgument(SharedRunner().Measure(plan).status()));
  plan.candidates.clear();
  REQUIRE(absl::IsInvalidArgument(SharedRunner().Measure(plan).status()));
}

TEST_CASE("plans may be measured from several threads at once", "[kernel_runner]") {
  KernelRunner& runner = SharedRunner();
  const MeasurePlan plans[] = {AddPlan(Good()), AddPlan(Kernel("null_dereference")),
                               AddPlan(Good())};
  Outcome outcomes[3] = {};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round)
        outcomes[i] = runner.Measure(plans[i]).value()[0].outcome;
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(outcomes[0] == Outcome::kOk);
  REQUIRE(outcomes[1] == Outcome::kRunError);
  REQUIRE(outcomes[2] == Outcome::kOk);
}

TEST_CASE("cold caches are slower than warm ones", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.timing.repeats = 9;
  const db::Measurement warm = MeasureOne(plan);
  plan.timing.cache_mode = db::CacheMode::kCold;
  const db::Measurement cold = MeasureOne(plan);
  REQUIRE(cold.outcome == Outcome::kOk);
  REQUIRE(cold.sample_calls == std::vector<int64_t>(9, 1));
  REQUIRE(*std::min_element(cold.sample_seconds.begin(), cold.sample_seconds.end()) >
          1.2 * *std::min_element(warm.sample_seconds.begin(), warm.sample_seconds.end()));
}

TEST_CASE("a reference is believed only when it agrees with the oracle", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.workload_hash = "00000000000000af";
  const std::vector<OracleSample> samples = plan.expectation.samples;
  const auto refused = [&](const char* reason) {
    const auto result = SharedRunner().Measure(plan);
    REQUIRE(absl::IsFailedPrecondition(result.status()));
    REQUIRE_THAT(std::string(result.status().message()), Catch::Contains(reason));
  };
  plan.expectation.samples.clear();
  refused("reference program: c: the oracle gave no sample");
  plan.expectation.samples = samples;
  plan.expectation.samples[1].value += 0.25;
  refused("reference program: c: element 777 is");
  plan.expectation.samples = samples;
  plan.expectation.samples[1].index = TEST_ELEMENTS;
  refused("lies outside");
  plan.expectation.samples = samples;
  plan.expectation.reference = Kernel("wrong_element");
  plan.expectation.samples.push_back(
      {0, 3 * TEST_COLUMNS + 7,
       TestValue(7, 0, 3 * TEST_COLUMNS + 7) + TestValue(7, 1, 3 * TEST_COLUMNS + 7)});
  refused("reference program: c: element 757");
  plan.expectation.reference = Kernel("null_dereference");
  refused("reference program: SIGSEGV");
}

TEST_CASE("expected outputs are remembered", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Good());
  plan.workload_hash = "00000000000000b0";
  const KernelArtifact reference = std::exchange(plan.expectation.reference, {});
  const auto unknown = SharedRunner().Measure(plan);
  REQUIRE(absl::IsNotFound(unknown.status()));
  plan.expectation.reference = reference;
  REQUIRE(MeasureOne(plan).outcome == Outcome::kOk);
  plan.expectation = {};
  REQUIRE(MeasureOne(plan).outcome == Outcome::kOk);
  plan.seed = 8;
  REQUIRE(absl::IsNotFound(SharedRunner().Measure(plan).status()));
}

TEST_CASE("plans that contradict themselves are refused with what is wrong", "[kernel_runner]") {
  const auto refused = [](auto change, const char* reason) {
    MeasurePlan plan = AddPlan(Good());
    change(plan);
    const auto result = SharedRunner().Measure(plan);
    REQUIRE(absl::IsInvalidArgument(result.status()));
    REQUIRE_THAT(std::string(result.status().message()), Catch::Contains(reason));
  };
  refused([](MeasurePlan& p) { p.tolerances.clear(); }, "0 tolerances for 1 outputs");
  refused([](MeasurePlan& p) { std::swap(p.buffers[0], p.buffers[2]); },
          "an output precedes an input");
  refused([](MeasurePlan& p) { p.threads = 0; }, "0 threads");
  refused([](MeasurePlan& p) { p.timing.repeats = 0; }, "0 repeats");
  refused([](MeasurePlan& p) { p.timing.min_repeat_seconds = std::nan(""); }, "at least nan s");
  refused([](MeasurePlan& p) { p.candidates[0].abi = 9; }, "built for kernel ABI 9");
  refused([](MeasurePlan& p) { p.candidates[0].symbol = std::string(300, 'x'); },
          "1 to 255 characters");
  refused([](MeasurePlan& p) { p.candidates[0].layouts = {{}}; }, "1 layouts for 3 buffers");
  refused([](MeasurePlan& p) { p.candidates[0].shared_workspace_bytes = -1; },
          "a workspace of -1 bytes");
  refused([](MeasurePlan& p) { p.call_timeout = absl::ZeroDuration(); }, "time-out of 0");
  refused(
      [](MeasurePlan& p) {
        p.workload_hash = "b1";
        p.expectation.values = {"short"};
      },
      "5 bytes of expected values for c, which has 64000");
}

TEST_CASE("what is prepared from constants is there for every call", "[kernel_runner]") {
  KernelArtifact kernel = Kernel("uses_doubles", "good");
  kernel.prepare_symbol = "doubles";
  kernel.prepared_bytes = {TEST_ELEMENTS * 4};
  MeasurePlan plan = AddPlan(kernel);
  plan.buffers[1].is_constant = true;
  const db::Measurement measured = MeasureOne(plan);
  CAPTURE(measured.reason);
  CHECK(measured.outcome == Outcome::kOk);

  plan.candidates[0].prepare_symbol = "no_such_symbol";
  CHECK(MeasureOne(plan).outcome == Outcome::kRunError);
  plan.candidates[0].prepare_symbol = "uses_workspace";  // prepares nothing of use
  CHECK(MeasureOne(plan).outcome != Outcome::kOk);
  plan.candidates[0].prepared_bytes.clear();
  CHECK(absl::IsInvalidArgument(SharedRunner().Measure(plan).status()));
}

TEST_CASE("a program's own tolerances hold for it and not for the reference", "[kernel_runner]") {
  MeasurePlan plan = AddPlan(Kernel("wrong_element"));
  CHECK(MeasureOne(plan).outcome == Outcome::kWrongAnswer);
  plan.candidates[0].tolerances = {{1e9, 0}};
  CHECK(MeasureOne(plan).outcome == Outcome::kOk);
  plan.workload_hash = "00000000000000b7";
  plan.expectation.reference = Kernel("wrong_element");
  const int64_t wrong = 3 * TEST_COLUMNS + 7;
  plan.expectation.samples = {
      {0, wrong, TestValue(plan.seed, 0, wrong) + TestValue(plan.seed, 1, wrong)}};
  CHECK(absl::IsFailedPrecondition(SharedRunner().Measure(plan).status()));
  plan.candidates[0].tolerances = {{1, 0}, {1, 0}};
  CHECK(absl::IsInvalidArgument(SharedRunner().Measure(plan).status()));
}

TEST_CASE("claims about time are judged by the parent's clock", "[kernel_runner]") {
  REQUIRE(JudgeClaim(0.0100, 0.0101) == Claim::kPlausible);
  REQUIRE(JudgeClaim(1e-6, 0.001) == Claim::kPlausible);  // messages take time
  REQUIRE(JudgeClaim(0.100, 0.150) == Claim::kDoubtful);
  REQUIRE(JudgeClaim(0.001, 0.100) == Claim::kFalse);
  REQUIRE(JudgeClaim(0.2, 0.1) == Claim::kFalse);
  REQUIRE(JudgeClaim(-1, 0.1) == Claim::kFalse);
  REQUIRE(JudgeClaim(std::nan(""), 0.1) == Claim::kFalse);
}

}  // namespace tessera::runner
