#include "worker/agent/host_arbiter.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "base/rng.h"
#include "tests/support/eventually.h"

namespace tessera::agent {
namespace {

// Runs `work` beside the test and tells whether it has ended.
class Beside {
 public:
  template <typename Work>
  explicit Beside(Work work)
      : thread_([this, work] {
          work();
          done_ = true;
        }) {}
  ~Beside() { thread_.join(); }
  bool DoneWithin(int milliseconds) {
    for (int i = 0; i < milliseconds && !done_; ++i) absl::SleepFor(absl::Milliseconds(1));
    return done_;
  }

 private:
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

TEST_CASE("building and timing get different cores", "[agent]") {
  HostArbiter arbiter({4, 5, 6}, true);
  const auto build = arbiter.AcquireBuild();
  const auto timing = arbiter.AcquireTiming(1);
  CHECK(build->cores() == std::vector<int>{4});
  CHECK(timing->cores() == std::vector<int>{6});
  CHECK(arbiter.AcquireBuild()->cores() == std::vector<int>{5});
}

TEST_CASE("a builder alone uses every core", "[agent]") {
  HostArbiter arbiter({0, 1}, false);
  const auto first = arbiter.AcquireBuild();
  const auto second = arbiter.AcquireBuild();
  CHECK(first->cores() != second->cores());
}

TEST_CASE("a run on all cores waits for builds, and builds wait for it", "[agent]") {
  HostArbiter arbiter({0, 1}, true);
  auto build = arbiter.AcquireBuild();
  std::optional<HostArbiter::Grant> timing;
  {
    Beside run([&] { timing.emplace(*arbiter.AcquireTiming(2)); });
    CHECK_FALSE(run.DoneWithin(30));
    build.reset();
    CHECK(run.DoneWithin(2000));
  }
  CHECK(timing->cores() == std::vector<int>{0, 1});
  Beside next([&] { arbiter.AcquireBuild(); });
  CHECK_FALSE(next.DoneWithin(30));
  timing.reset();
  CHECK(next.DoneWithin(2000));
}

TEST_CASE("a waiting run comes before new builds", "[agent]") {
  HostArbiter arbiter({0}, true);
  auto build = arbiter.AcquireBuild();
  std::atomic<int> order = 0;
  int run_at = 0, build_at = 0;
  Beside run([&] {
    const auto grant = arbiter.AcquireTiming(1);
    run_at = ++order;
  });
  REQUIRE(test::Eventually([&] { return arbiter.timing_waiting() == 1; }));
  Beside another([&] {
    const auto grant = arbiter.AcquireBuild();
    build_at = ++order;
  });
  absl::SleepFor(absl::Milliseconds(20));
  build.reset();
  CHECK(run.DoneWithin(2000));
  CHECK(another.DoneWithin(2000));
  CHECK(run_at == 1);
  CHECK(build_at == 2);
}

TEST_CASE("two runs never overlap", "[agent]") {
  HostArbiter arbiter({0, 1, 2}, true);
  auto first = arbiter.AcquireTiming(1);
  Beside second([&] { arbiter.AcquireTiming(1); });
  CHECK_FALSE(second.DoneWithin(30));
  first.reset();
  CHECK(second.DoneWithin(2000));
}

TEST_CASE("stopping wakes every waiter with nothing", "[agent]") {
  HostArbiter arbiter({0}, true);
  auto build = arbiter.AcquireBuild();
  bool refused = false;
  Beside run([&] { refused = !arbiter.AcquireTiming(1).has_value(); });
  CHECK_FALSE(run.DoneWithin(20));
  arbiter.Stop();
  CHECK(run.DoneWithin(2000));
  CHECK(refused);
}

TEST_CASE("no core is ever granted twice", "[agent]") {
  constexpr int kCores = 4;
  HostArbiter arbiter({0, 1, 2, 3}, true);
  std::atomic<int> owners[kCores] = {};
  std::atomic<bool> overlap = false;
  const auto use = [&](const std::vector<int>& cores) {
    for (int core : cores) overlap = overlap || ++owners[core] > 1;
    for (int core : cores) --owners[core];
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      for (int i = 0; i < 300; ++i) {
        if (t == 0) {
          use(arbiter.AcquireTiming(static_cast<int>(rng.Between(1, kCores)))->cores());
        } else {
          use(arbiter.AcquireBuild()->cores());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(overlap);
}

}  // namespace
}  // namespace tessera::agent
