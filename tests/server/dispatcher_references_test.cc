#include "server/dispatcher.h"

#include <catch2/catch.hpp>
#include <set>
#include <utility>

#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using test::FakeRun;
using Rig = DispatcherRig;

TEST_CASE("the task's reference is built once and served to all trials", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  for (int trial = 0; trial < 4; ++trial) {
    rig.Reply(*link, FakeRun(rig.PlanFor(trial, *link)));
  }
  int references = 0;
  for (const auto& request : link->All<proto::BuildRequest>()) references += request.is_reference;
  CHECK(references == 1);
  CHECK(rig.records.size() == 4);
}

TEST_CASE("without a reference the trials go back with the reason", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.Reply(*link, proto::BuildResult{.fence = link->All<proto::BuildRequest>()[0].fence,
                                      .outcome = db::Outcome::kBuildError,
                                      .reason = "no such intrinsic"});
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kInfrastructure);
  CHECK(rig.records[0].measurement.reason == "no reference for task C2: no such intrinsic");
}

TEST_CASE("a reference that the infrastructure fails is built again, three times at most",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  const auto asked = [&] {
    std::vector<proto::BuildRequest> references;
    for (const auto& request : link->All<proto::BuildRequest>()) {
      if (request.is_reference) references.push_back(request);
    }
    return references;
  };
  rig.Reply(*link, proto::BuildResult{.fence = asked().back().fence,
                                      .outcome = db::Outcome::kInfrastructure,
                                      .reason = "the builder was killed"});
  CHECK(rig.records.empty());
  REQUIRE(asked().size() == 2);
  // The worker comes back without it: the lease is lost.
  link = rig.Connect("w");
  REQUIRE(asked().size() == 1);
  CHECK(rig.records.empty());
  rig.Reply(*link, proto::BuildResult{.fence = asked().back().fence,
                                      .outcome = db::Outcome::kInfrastructure,
                                      .reason = "the builder was killed"});
  CHECK(asked().size() == 1);
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kInfrastructure);
  CHECK(rig.records[0].measurement.reason ==
        "no reference for task C2: gave up after 3 attempts, the last: the builder was killed");
  rig.Start(1);  // another trial, another try
  CHECK(asked().size() == 2);
}

TEST_CASE("a reference that no trial waits for is not built again", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  const auto requests = link->All<proto::BuildRequest>();
  REQUIRE(requests.size() == 2);
  REQUIRE(requests[0].is_reference);
  rig.Reply(*link, proto::BuildResult{.fence = requests[1].fence,
                                      .outcome = db::Outcome::kBuildError,
                                      .reason = "too many registers"});
  rig.Reply(*link, proto::BuildResult{.fence = requests[0].fence,
                                      .outcome = db::Outcome::kInfrastructure,
                                      .reason = "the builder was killed"});
  CHECK(link->All<proto::BuildRequest>().size() == 2);
  rig.Start(1);
  CHECK(link->All<proto::BuildRequest>().size() == 4);
}

TEST_CASE("failures of a reference that no trial waits for any more are forgotten", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto fail_reference = [&] {
    uint64_t latest = 0;
    for (const auto& request : link->All<proto::BuildRequest>()) {
      if (request.is_reference) latest = request.fence;
    }
    REQUIRE(rig.built.insert(latest).second);  // asked for since the last time
    rig.Reply(*link, proto::BuildResult{.fence = latest,
                                        .outcome = db::Outcome::kInfrastructure,
                                        .reason = "the builder was killed"});
  };
  for (int trial = 0; trial < 2; ++trial) {  // one failure each, then nobody waits
    rig.Start(trial);
    fail_reference();
    rig.dispatcher->Abandon(rig.job_id);
  }
  rig.records.clear();
  rig.Start(3);
  fail_reference();
  fail_reference();
  CHECK(rig.records.empty());
  fail_reference();
  CHECK(rig.records.size() == 1);
}

TEST_CASE("the build of a reference ends with the last job that waits for it", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  const auto reference = link->All<proto::BuildRequest>()[0];
  REQUIRE(reference.is_reference);
  const auto cancelled = [&] {
    std::set<uint64_t> fences;
    for (const auto& cancel : link->All<proto::Cancel>()) fences.insert(cancel.fence);
    return fences.contains(reference.fence);
  };
  const int64_t first_job = std::exchange(rig.job_id, rig.job_id + 1);
  rig.Start(1);  // of another job, for the same task
  rig.dispatcher->Abandon(first_job);
  CHECK_FALSE(cancelled());
  rig.dispatcher->Abandon(rig.job_id);
  CHECK(cancelled());
  CHECK(rig.records.size() == 2);
  // What the builder made nevertheless comes late and is not taken for the next one's.
  link->messages.clear();
  rig.Start(2);
  const auto again = link->All<proto::BuildRequest>();
  REQUIRE(again.size() == 2);
  CHECK(again[0].is_reference);
  CHECK(again[0].fence > reference.fence);
}

TEST_CASE("of tasks that are done with the last used ones are kept", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  int64_t trial = 0;
  // Runs a trial of the task and returns whether its reference was there.
  const auto run = [&](int64_t task) {
    link->messages.clear();
    rig.task.workload = absl::StrCat("workload ", task);
    rig.Start(trial++);
    const bool kept = link->All<proto::BuildRequest>().size() == 1;
    rig.BuildAll(*link);
    const auto plan = link->Last<proto::RunPlan>();
    CHECK((plan.best_seconds != 0) == kept);
    rig.Reply(*link, FakeRun(plan));
    return kept;
  };
  for (int64_t task = 0; task < 256; ++task) CHECK_FALSE(run(task));
  CHECK(run(0));          // from now on task 1 was used least lately
  CHECK_FALSE(run(256));  // one more than are kept
  for (int64_t task : {0, 2, 3, 255, 256}) {
    CAPTURE(task);
    CHECK(run(task));
  }
  CHECK_FALSE(run(1));
  CHECK(rig.records.size() == static_cast<size_t>(trial));
}

TEST_CASE("a task's reference stays while a trial waits, however many others are used",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto waits = rig.PlanFor(0, *link);
  const db::Task task = rig.task;
  for (int64_t trial = 1; trial < 300; ++trial) {
    rig.task.workload = absl::StrCat("workload ", trial);
    rig.Reply(*link, FakeRun(rig.PlanFor(trial, *link)));
    link->messages.clear();
  }
  rig.task = task;
  rig.Start(300);
  CHECK(link->All<proto::BuildRequest>().size() == 1);
  rig.Reply(*link, FakeRun(waits));
  CHECK(rig.records.size() == 300);
}

}  // namespace
}  // namespace tessera::server
