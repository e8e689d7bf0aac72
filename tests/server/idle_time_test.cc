#include "server/idle_time.h"

#include <catch2/catch.hpp>

namespace tessera::server {
namespace {

using db::RunnerPhase;

// Times move by hand; devices are in no situation but those that a test describes.
struct Book {
  void Pass(double seconds) { now += absl::Seconds(seconds); }
  // `plans`: the jobs whose plans each device has.
  void Observe(std::map<std::string, std::set<int64_t>, std::less<>> plans,
               std::set<int64_t> building = {}, std::set<int64_t> storing = {}) {
    idle.Observe({std::move(plans), std::move(building), std::move(storing)}, now);
  }
  db::RunnerTime Of(int64_t job, const std::string& device = "d") const {
    for (const db::RunnerTime& time : idle.Of(job)) {
      if (time.device == device) return time;
    }
    return {};
  }
  IdleTime idle;
  absl::Time now = absl::UnixEpoch();
};

// The seconds of each phase, in the order of db::RunnerPhase.
void CheckSeconds(const db::RunnerTime& time, std::array<double, db::kRunnerPhaseCount> expected) {
  for (int p = 0; p < db::kRunnerPhaseCount; ++p) {
    CAPTURE(db::ToString(static_cast<RunnerPhase>(p)));
    CHECK(time.seconds[p] == Approx(expected[p]).margin(1e-12));
  }
}

TEST_CASE("a gap between two plans is split by what was waited for", "[server]") {
  Book book;
  book.Pass(100);  // before the first plan: the first builds
  book.Observe({{"d", {1}}});
  book.Pass(0.012);
  book.idle.Ran(1, "d", 0.010, book.now);
  book.Observe({{"d", {}}}, {}, {1});
  book.Pass(0.001);  // the result is being stored
  book.Observe({{"d", {}}});
  book.Pass(0.030);  // the job proposes
  book.Observe({{"d", {}}}, {1});
  book.Pass(0.040);                                      // a program is being built
  CheckSeconds(book.Of(1), {0.010, 0.002, 0, 0, 0, 0});  // no next plan yet
  book.Observe({{"d", {1}}});
  CheckSeconds(book.Of(1), {0.010, 0.002, 0.040, 0.030, 0.001, 0});
}

TEST_CASE("what comes after the last trial is no waiting", "[server]") {
  Book book;
  book.Observe({{"d", {1}}});
  book.Pass(1);
  book.idle.Ran(1, "d", 1, book.now);
  book.Observe({{"d", {}}});
  book.Pass(3600);
  book.idle.End(1);
  book.Observe({{"d", {}}});
  CheckSeconds(book.Of(1), {1, 0, 0, 0, 0, 0});
}

TEST_CASE("a device that is away does not wait", "[server]") {
  Book book;
  book.Observe({{"d", {1}}});
  book.Pass(1);
  book.idle.Ran(1, "d", 1, book.now);
  book.Observe({{"d", {}}}, {1});
  book.Pass(5);
  book.Observe({});  // drained, or gone
  book.Pass(60);
  book.Observe({{"d", {}}}, {1});
  book.Pass(5);
  book.Observe({{"d", {1}}});
  book.Pass(2);
  book.idle.Ran(1, "d", 2, book.now);
  CheckSeconds(book.Of(1), {3, 0, 0, 0, 0, 0});
}

TEST_CASE("plans that queue at a device leave no gap", "[server]") {
  Book book;
  for (int i = 0; i < 10; ++i) {
    book.Observe({{"d", {1}}});
    book.Pass(0.010);
    book.idle.Ran(1, "d", 0.0095, book.now);
  }
  CheckSeconds(book.Of(1), {0.095, 0.005, 0, 0, 0, 0});
}

TEST_CASE("the plans of another job are time of others, queued beside one's own or not",
          "[server]") {
  Book book;
  book.Observe({{"d", {1, 2}}});
  book.Pass(1);
  book.idle.Ran(1, "d", 1, book.now);
  book.Observe({{"d", {1, 2}}});
  book.Pass(3);
  book.idle.Ran(2, "d", 3, book.now);  // while a plan of job 1 was queued
  book.Observe({{"d", {1, 2}}});
  book.Pass(1);
  book.idle.Ran(1, "d", 1, book.now);
  book.Observe({{"d", {2}}});
  book.Pass(2);
  book.idle.Ran(2, "d", 2, book.now);  // while job 1 had none
  book.Observe({{"d", {1}}});
  CheckSeconds(book.Of(1), {2, 0, 0, 0, 0, 5});
  CheckSeconds(book.Of(2), {5, 0, 0, 0, 0, 2});
}

TEST_CASE("devices are counted each for itself", "[server]") {
  Book book;
  book.Observe({{"a", {1}}, {"b", {1}}});
  book.Pass(1);
  book.idle.Ran(1, "a", 1, book.now);
  book.Observe({{"a", {}}, {"b", {1}}}, {1});
  book.Pass(1);
  book.idle.Ran(1, "b", 2, book.now);
  book.Observe({{"a", {1}}, {"b", {1}}});
  CheckSeconds(book.Of(1, "a"), {1, 0, 1, 0, 0, 0});
  CheckSeconds(book.Of(1, "b"), {2, 0, 0, 0, 0, 0});
}

TEST_CASE("a plan that was lost did not run, and nobody runs for longer than time passed",
          "[server]") {
  Book book;
  book.Observe({{"d", {1}}});
  book.Pass(10);
  book.Observe({{"d", {}}}, {1});  // the lease was lost
  book.Pass(1);
  book.Observe({{"d", {1}}});
  book.Pass(2);
  book.idle.Ran(1, "d", 2, book.now);
  CheckSeconds(book.Of(1), {2, 10, 1, 0, 0, 0});
  book.Pass(1);
  book.idle.Ran(1, "d", 1e9, book.now);
  book.idle.Ran(1, "d", -5, book.now);
  CHECK(book.Of(1).Total() == Approx(14));
  CHECK(book.Of(1).Of(RunnerPhase::kWorker) >= 0);
}

TEST_CASE("of ended jobs the latest are remembered", "[server]") {
  Book book;
  const int jobs = static_cast<int>(IdleTime::kMaxEndedJobs) + 1;
  for (int job = 1; job <= jobs; ++job) {
    book.Observe({{"d", {job}}});
    book.Pass(1);
    book.idle.Ran(job, "d", 1, book.now);
    book.Observe({{"d", {}}});
    book.idle.End(job);
    book.idle.End(job);  // once is enough
  }
  CHECK(book.idle.Of(1).empty());
  CheckSeconds(book.Of(2), {1, 0, 0, 0, 0, 0});
  CheckSeconds(book.Of(jobs), {1, 0, 0, 0, 0, 0});
  CHECK(book.idle.Of(jobs + 1).empty());
}

}  // namespace
}  // namespace tessera::server
