#include "compiler/runtime/thread_pool.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Destroy {
  void operator()(tessera_pool* pool) const { tessera_pool_destroy(pool); }
};
using Pool = std::unique_ptr<tessera_pool, Destroy>;

Pool MakePool(int threads, int64_t grain = 0, int spin_microseconds = -1, int pin = 0) {
  const tessera_pool_options options{threads, grain, spin_microseconds, pin};
  return Pool(tessera_pool_create(&options));
}

struct Visits {
  explicit Visits(int64_t count) : times(static_cast<size_t>(count)) {}
  std::vector<std::atomic<int>> times;
  std::atomic<int> highest_thread{0};

  static void Body(int64_t begin, int64_t end, int32_t thread, void* context) {
    auto* self = static_cast<Visits*>(context);
    for (int64_t i = begin; i < end; ++i) ++self->times[static_cast<size_t>(i)];
    int seen = self->highest_thread;
    while (seen < thread && !self->highest_thread.compare_exchange_weak(seen, thread)) {
    }
  }
  bool EachOnce() const {
    for (const auto& n : times) {
      if (n != 1) return false;
    }
    return true;
  }
};

bool RunsEachOnce(tessera_launcher* launcher, int64_t count) {
  Visits visits(count);
  launcher->parallel_for(launcher, count, Visits::Body, &visits);
  return visits.EachOnce() && visits.highest_thread < launcher->threads;
}

}  // namespace

TEST_CASE("every iteration runs exactly once", "[runtime]") {
  for (int threads : {1, 2, 3, 7}) {
    for (int64_t grain : {0, 1, 5}) {
      for (int spin : {0, -1}) {
        const Pool pool = MakePool(threads, grain, spin);
        REQUIRE(pool != nullptr);
        for (int64_t count : {0, 1, 2, 3, 8, 100, 1001}) {
          CAPTURE(threads, grain, spin, count);
          REQUIRE(RunsEachOnce(tessera_pool_launcher(pool.get()), count));
        }
      }
    }
  }
}

TEST_CASE("static slices are contiguous and differ by one at most", "[runtime]") {
  const Pool pool = MakePool(4);
  struct Slices {
    std::atomic<int> calls{0};
    std::atomic<int64_t> shortest{1000}, longest{0};
  } slices;
  tessera_launcher* launcher = tessera_pool_launcher(pool.get());
  launcher->parallel_for(
      launcher, 10,
      [](int64_t begin, int64_t end, int32_t, void* context) {
        auto* s = static_cast<Slices*>(context);
        ++s->calls;
        if (end - begin == 2) s->shortest = 2;
        if (end - begin == 3) s->longest = 3;
      },
      &slices);
  REQUIRE(slices.calls == 4);
  REQUIRE(slices.shortest == 2);
  REQUIRE(slices.longest == 3);
}

TEST_CASE("serial launcher runs the whole range at once", "[runtime]") {
  REQUIRE(tessera_serial_launcher()->threads == 1);
  REQUIRE(RunsEachOnce(tessera_serial_launcher(), 17));
}

TEST_CASE("thread counts outside the limits are refused", "[runtime]") {
  REQUIRE(MakePool(0) == nullptr);
  REQUIRE(MakePool(TESSERA_POOL_MAX_THREADS + 1) == nullptr);
}

TEST_CASE("many loops in a row and sleeping workers lose no iteration", "[runtime]") {
  for (int spin : {0, 1, -1}) {
    CAPTURE(spin);
    const Pool pool = MakePool(3, 0, spin, 1);
    tessera_launcher* launcher = tessera_pool_launcher(pool.get());
    std::atomic<int64_t> sum{0};
    const int loops = 3000;
    for (int i = 0; i < loops; ++i) {
      launcher->parallel_for(
          launcher, 3,
          [](int64_t begin, int64_t end, int32_t, void* context) {
            *static_cast<std::atomic<int64_t>*>(context) += end - begin;
          },
          &sum);
      if (i % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    REQUIRE(sum == 3 * loops);
  }
}

namespace {

// All threads of this process on `cores`.
void MoveTo(const cpu_set_t& cores) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    sched_setaffinity(std::stoi(task.path().filename()), sizeof(cores), &cores);
  }
}

}  // namespace

TEST_CASE("threads that come to share a core don't wait out each other's spinning", "[runtime]") {
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof(before), &before) == 0);
  if (CPU_COUNT(&before) < 2) return;  // pools don't spin at all then
  const int spin_microseconds = 2000;
  const Pool pool = MakePool(2, 0, spin_microseconds);
  tessera_launcher* launcher = tessera_pool_launcher(pool.get());
  REQUIRE(RunsEachOnce(launcher, 2));
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  MoveTo(one);
  auto fastest = std::chrono::steady_clock::duration::max();
  for (int batch = 0; batch < 10; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) REQUIRE(RunsEachOnce(launcher, 2));
    fastest = std::min(fastest, (std::chrono::steady_clock::now() - start) / 20);
  }
  MoveTo(before);
  REQUIRE(fastest < std::chrono::microseconds(spin_microseconds / 4));
}

TEST_CASE("several callers share one pool", "[runtime]") {
  const Pool pool = MakePool(3);
  tessera_launcher* launcher = tessera_pool_launcher(pool.get());
  std::atomic<int> failures{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 300; ++i) failures += !RunsEachOnce(launcher, 37);
    });
  }
  for (std::thread& caller : callers) caller.join();
  REQUIRE(failures == 0);
}

TEST_CASE("a loop inside a loop's body runs alone", "[runtime]") {
  const Pool pool = MakePool(2);
  struct Nested {
    tessera_launcher* launcher;
    std::atomic<int> failures{0};
  } nested{tessera_pool_launcher(pool.get())};
  nested.launcher->parallel_for(
      nested.launcher, 8,
      [](int64_t begin, int64_t end, int32_t, void* context) {
        auto* n = static_cast<Nested*>(context);
        for (int64_t i = begin; i < end; ++i) n->failures += !RunsEachOnce(n->launcher, 5);
      },
      &nested);
  REQUIRE(nested.failures == 0);
}

// ThreadSanitizer ends a child that starts threads after a fork.
#ifndef __SANITIZE_THREAD__
TEST_CASE("the child of a fork gets workers of its own", "[runtime]") {
  const Pool pool = MakePool(2);
  tessera_launcher* launcher = tessera_pool_launcher(pool.get());
  REQUIRE(RunsEachOnce(launcher, 10));
  const pid_t child = fork();
  if (child == 0) {
    bool good = true;
    for (int i = 0; i < 50; ++i) good = good && RunsEachOnce(launcher, 10);
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  REQUIRE(RunsEachOnce(launcher, 10));
}
#endif

TEST_CASE("pools come and go", "[runtime]") {
  for (int i = 0; i < 50; ++i) {
    const Pool pool = MakePool(1 + i % 4);
    REQUIRE(RunsEachOnce(tessera_pool_launcher(pool.get()), i));
  }
}
