#include "tuner/job_gains.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include "base/rng.h"
#include "compiler/te/operators.h"
#include "tuner/improvement.h"
#include "tuner/similar_tasks.h"

namespace tessera::tuner {
namespace {

constexpr double kFailed = std::numeric_limits<double>::infinity();

double Normal(Rng& rng) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += rng.Uniform();
  return sum;
}

db::Task TaskOf(const std::string& op, const std::map<std::string, std::string>& attributes) {
  const te::Workload workload = *te::MakeWorkload({"t", op, attributes});
  db::Task task;
  task.workload = te::Print(workload);
  task.target = "x86/avx2";
  return task;
}
db::Task Conv(int channels, int size, int k) {
  return TaskOf("conv2d", {{"ic", std::to_string(channels)},
                           {"oc", std::to_string(channels)},
                           {"size", std::to_string(size)},
                           {"k", std::to_string(k)},
                           {"pad", std::to_string(k / 2)}});
}
std::vector<db::Task> Unknown(int count) { return std::vector<db::Task>(count); }

TEST_CASE("the slope of draws with an exponential tail is the scale of the tail", "[tuner]") {
  double mean = 0, saved = 0, expected = 0;
  const int runs = 400;
  const double scale = 0.1;
  for (uint64_t seed = 0; seed < runs; ++seed) {
    Rng rng(seed);
    // Log times whose fast side is bounded nowhere: −scale × an exponential number.
    const auto draw = [&] { return std::exp(scale * std::log(1 - rng.Uniform())); };
    Improvement improvement;
    double best = kFailed;
    for (int i = 0; i < 64; ++i) {
      const double seconds = draw();
      best = std::min(best, seconds);
      improvement.Add(seconds);
    }
    mean += improvement.Slope() / runs;
    double later = best;
    for (int i = 0; i < 64; ++i) later = std::min(later, draw());
    saved += (1 - later / best) / runs;
    expected += ExpectedSaving(scale, 64, 0, 64) / runs;
  }
  CAPTURE(mean, saved, expected);
  CHECK(saved == Approx(expected).epsilon(0.1));
  CHECK(mean == Approx((10 * scale + 0.2) / 11).epsilon(0.05));  // with the prior as one excess
}

TEST_CASE("what is on its way leaves less to later trials", "[tuner]") {
  CHECK(ExpectedSaving(0.1, 32, 0, 8) > ExpectedSaving(0.1, 32, 8, 8));
  CHECK(ExpectedSaving(0.1, 32, 0, 8) + ExpectedSaving(0.1, 32, 8, 8) ==
        Approx(ExpectedSaving(0.1, 32, 0, 16)));
  CHECK(ExpectedSaving(0, 32, 0, 8) == 0);
}

TEST_CASE("failures are results that bring nothing", "[tuner]") {
  Improvement improvement;
  for (int i = 0; i < 5; ++i) improvement.Add(kFailed);
  CHECK(improvement.results() == 5);
  CHECK_FALSE(improvement.has_success());
  improvement.Add(1);
  CHECK(improvement.has_success());
  CHECK(improvement.stale() == 0);
  improvement.Add(kFailed);
  CHECK(improvement.stale() == 1);
}

TEST_CASE("tasks are similar by form, size, target, threads and caches", "[tuner]") {
  const TaskKind conv = KindOf(Conv(64, 28, 3));
  CHECK(conv.operations > 1e6);
  CHECK(AreSimilar(conv, KindOf(Conv(128, 14, 3))));
  CHECK(AreSimilar(conv, conv));
  CHECK_FALSE(AreSimilar(conv, KindOf(Conv(64, 28, 1))));
  CHECK_FALSE(AreSimilar(conv, KindOf(Conv(16, 14, 3))));
  CHECK_FALSE(AreSimilar(conv, KindOf(TaskOf("matmul", {{"m", "64"}, {"n", "64"}, {"k", "64"}}))));
  db::Task other = Conv(64, 28, 3);
  other.threads = 2;
  CHECK_FALSE(AreSimilar(conv, KindOf(other)));
  other = Conv(64, 28, 3);
  other.cache_mode = db::CacheMode::kCold;
  CHECK_FALSE(AreSimilar(conv, KindOf(other)));
  CHECK_FALSE(AreSimilar(KindOf({}), KindOf({})));  // of no known form
}

TEST_CASE("a task is guessed to come near the rate of a similar one, until results refute it",
          "[tuner]") {
  // Equal times of equal sizes, but the second convolution's kin is eight times as fast.
  const std::vector<db::Task> tasks = {
      Conv(64, 28, 3), Conv(128, 14, 3),
      TaskOf("matmul", {{"m", "384"}, {"n", "384"}, {"k", "384"}})};
  JobGains gains(tasks);
  const auto add = [&](int task, double seconds, int count) {
    for (int i = 0; i < count; ++i) gains.Add(task, seconds, true);
  };
  add(0, 1e-3, 16);
  add(1, 8e-3, 16);
  add(2, 8e-3, 16);
  const double guessed = gains.Expected(1, 0, 8);
  CHECK(guessed > 10 * gains.Expected(2, 0, 8));
  CHECK(gains.Expected(0, 0, 8) / 1e-3 == Approx(gains.Expected(2, 0, 8) / 8e-3));
  add(1, 8e-3, 100);
  add(2, 8e-3, 100);
  CHECK(gains.Expected(1, 0, 8) < guessed / 20);
  CHECK(gains.Expected(1, 0, 8) < 8 * gains.Expected(2, 0, 8));
}

TEST_CASE("the default schedule counts as a time, and by a guess until something is searched",
          "[tuner]") {
  JobGains gains(Unknown(2));
  CHECK(std::isinf(gains.Expected(0, 0, 8)));
  gains.Add(0, 1e-3, false);
  CHECK(gains.JobSeconds() == 1e-3);
  CHECK(gains.Expected(0, 0, 8) == 1e-3 * ExpectedSaving(Improvement().Slope(), 1, 0, 8));
  gains.Add(1, 3e-3, false);
  CHECK(gains.Expected(1, 0, 8) == Approx(3 * gains.Expected(0, 0, 8)));
  gains.Add(1, kFailed, true);
  CHECK(std::isinf(gains.Expected(1, 0, 8)));
  for (int i = 0; i < 20; ++i) gains.Add(0, 2e-3, true);
  CHECK(gains.JobSeconds() == 4e-3);
  CHECK(gains.Expected(0, 0, 8) < 1e-3);
}

TEST_CASE("results of earlier jobs count as results, but say little about searching", "[tuner]") {
  JobGains gains(Unknown(3));
  gains.Know(0, 1e-3, 180);
  gains.Know(1, kFailed, 180);
  CHECK(gains.JobSeconds() == 1e-3);
  CHECK(gains.Expected(0, 0, 8) < 0.01 * 1e-3);
  CHECK(std::isinf(gains.Expected(1, 0, 8)));
  for (int i = 0; i < 20; ++i) {
    for (const int task : {0, 1, 2}) gains.Add(task, 1e-3, true);
  }
  // Like n^-slope, so that one of 200 is expected to gain about a tenth of what one of 20 is.
  const double slope = std::log(gains.Expected(2, 0, 1) / 1e-3 * -1 + 1) / std::log(20 / 21.0);
  CHECK(gains.Expected(0, 0, 1) == Approx(1e-3 * ExpectedSaving(slope, 200, 0, 1)));
  CHECK(gains.Expected(1, 0, 1) == gains.Expected(0, 0, 1));
  // The first look is at results of the job.
  for (int look = 0; look < JobGains::kLooks; ++look) gains.Look(0, 1);
  CHECK_FALSE(gains.HasLittleLeft(0));
}

// Two tasks of equal times, the first of which gets results with logarithms of time from
// `log_seconds`. Returns after how many it has little left, -1 for never while more than 50 of
// `trials` are left.
int LittleLeftAfter(int trials, const std::function<double(int)>& log_seconds) {
  JobGains gains(Unknown(2));
  gains.Add(1, 1, true);
  for (int i = 0; i + 50 < trials; ++i) {
    gains.Add(0, std::exp(log_seconds(i)), true);
    gains.Look(0, trials - 1 - i);
    if (gains.HasLittleLeft(0)) return i + 1;
  }
  return -1;
}

TEST_CASE("a flat task ends", "[tuner]") {
  int slowest = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const int after = LittleLeftAfter(400, [&](int) { return 0.002 * Normal(rng); });
    REQUIRE(after > 0);
    CHECK(after >= 40);  // two looks
    slowest = std::max(slowest, after);
  }
  CHECK(slowest <= 240);
}

TEST_CASE("a task that still improves does not end", "[tuner]") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    // A search that draws better and better programs, by a factor of e in 250 trials.
    Rng steady(seed);
    CHECK(LittleLeftAfter(250, [&](int i) { return 0.1 * Normal(steady) - i / 250.0; }) == -1);
    // One that takes a step of 5 % every 20 to 30 trials, and has nothing else near.
    Rng steps(seed);
    double level = 0;
    int next = 0;
    CHECK(LittleLeftAfter(250, [&](int i) {
            if (i >= next) {
              level -= 0.05;
              next = i + static_cast<int>(steps.Between(20, 30));
            }
            return level + (i + 1 == next ? 0 : 0.3 * steps.Uniform());
          }) == -1);
  }
}

}  // namespace
}  // namespace tessera::tuner
