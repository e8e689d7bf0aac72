#include "server/dispatcher.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using test::FakeBuild;
using test::FakeDevice;
using test::FakeRun;
using Rig = DispatcherRig;

TEST_CASE("a trial is built, run and given back as a record", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  CHECK(rig.dispatcher->Appetite(rig.task, "") > 0);
  rig.Start(7);
  REQUIRE(link->All<proto::BuildRequest>().size() == 2);  // the reference, then the trial
  CHECK(link->All<proto::BuildRequest>()[0].is_reference);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  CHECK(plan.artifacts.at(0).digest == Sha256Hex("artifact of trace 7"));
  CHECK(plan.reference.digest == Sha256Hex("artifact of "));
  CHECK(plan.samples.size() == 1);
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.records.size() == 1);
  const db::Record& record = rig.records[0];
  CHECK(record.trial == 7);
  CHECK(record.measurement.outcome == db::Outcome::kOk);
  CHECK(record.measurement.build_seconds == 0.01);
  CHECK(record.device == "w/cpu");
  CHECK(record.device_class == "x86/fake");
  CHECK(record.attempt_key == plan.lease.AttemptKey());
  CHECK(record.task_key == rig.task.Key());
  CHECK(record.tessera_version == "0.9.0");  // who built it
}

TEST_CASE("a result is acknowledged when it is on disk, not before", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto plan = rig.PlanFor(0, *link);
  rig.Reply(*link, FakeRun(plan));
  CHECK_FALSE(link->Acknowledged(plan.lease.fence));
  rig.dispatcher->Stored(rig.records[0]);
  CHECK(link->Acknowledged(plan.lease.fence));
}

TEST_CASE("a result that is sent twice before the commit counts once", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto plan = rig.PlanFor(0, *link);
  rig.Reply(*link, FakeRun(plan));
  rig.Reply(*link, FakeRun(plan));
  CHECK(rig.records.size() == 1);
  CHECK(rig.store.QueryRecords({})->empty());  // not stored as stale either
}

TEST_CASE("builds are asked for while a plan runs", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const int appetite = rig.dispatcher->Appetite(rig.task, "");
  for (int trial = 0; trial < appetite; ++trial) rig.Start(trial);
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 0);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  // Two plans at the runner, everything else built and waiting.
  CHECK(link->All<proto::RunPlan>().size() == 2);
  CHECK(link->All<proto::BuildRequest>().size() == static_cast<size_t>(appetite + 1));
  rig.Reply(*link, FakeRun(link->All<proto::RunPlan>()[0]));
  CHECK(link->All<proto::RunPlan>().size() == 3);
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 1);
}

TEST_CASE("a candidate that can't be built is a result", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  const auto requests = link->All<proto::BuildRequest>();
  rig.Reply(*link, proto::BuildResult{.fence = requests[1].fence,
                                      .outcome = db::Outcome::kBuildError,
                                      .reason = "too many registers"});
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kBuildError);
  CHECK(rig.records[0].measurement.reason == "too many registers");
  CHECK_FALSE(rig.records[0].attempt_key.empty());
}

TEST_CASE("builder and server that disagree about loops are an infrastructure failure",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto request = link->Last<proto::BuildRequest>();
    proto::BuildResult result = FakeBuild(request, "x");
    REQUIRE(rig.artifacts->Put("x").ok());
    result.loop_hash = "ffffffffffffffff";
    rig.Reply(*link, result);
  }
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kInfrastructure);
}

TEST_CASE("an artifact that was never uploaded is an infrastructure failure", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  const auto request = link->Last<proto::BuildRequest>();
  rig.Reply(*link, FakeBuild(request, "never uploaded"));
  CHECK(rig.records.empty());
  CHECK(link->Last<proto::BuildRequest>().fence > request.fence);  // asked for again
}

TEST_CASE("a crash is tried on another device and counts when it crashes there too", "[server]") {
  Rig rig;
  auto a = rig.Connect("a");
  auto b = rig.Connect("b");
  rig.Start(0);
  rig.BuildAll(*a);
  rig.BuildAll(*b);
  const bool first_on_a = !a->All<proto::RunPlan>().empty();
  RecordingLink& first = first_on_a ? *a : *b;
  RecordingLink& second = first_on_a ? *b : *a;
  rig.Reply(first, FailedRun(first.Last<proto::RunPlan>(), db::Outcome::kRunError));
  CHECK(rig.records.empty());
  rig.Reply(second, FailedRun(second.Last<proto::RunPlan>(), db::Outcome::kRunError));
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kRunError);
}

TEST_CASE("a crash on the only device is final", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Reply(*link, FailedRun(rig.PlanFor(0, *link), db::Outcome::kRunError));
  CHECK(rig.records.size() == 1);
}

TEST_CASE("a device on which good programs crash is quarantined with the evidence", "[server]") {
  Rig rig;
  auto builder = rig.Connect("builder", {}, "first", true, false);
  auto bad = rig.Connect("bad", {}, "first", false);
  auto good = rig.Connect("good", {}, "first", false);
  int crashes = 0;
  for (int trial = 0; trial < 8 && crashes < 3; ++trial) {
    // Occupy nothing: one trial at a time, wherever it lands.
    const size_t good_before = good->All<proto::RunPlan>().size();
    rig.Start(trial);
    rig.BuildAll(*builder);
    if (good->All<proto::RunPlan>().size() == good_before) {
      ++crashes;
      rig.Reply(*bad, FailedRun(bad->Last<proto::RunPlan>(), db::Outcome::kRunError));
    }
    rig.Reply(*good, FakeRun(good->Last<proto::RunPlan>()));
  }
  REQUIRE(crashes == 3);
  for (const db::Device& device : rig.devices->List()) {
    CAPTURE(device.id);
    CHECK(device.state == (device.id == "bad/cpu" ? "quarantined" : "online"));
    if (device.id == "bad/cpu") CHECK(device.state_reason.find("signal 11") != std::string::npos);
  }
  CHECK(rig.dispatcher->Resume("bad/cpu").ok());
  CHECK(rig.devices->Accepts("bad/cpu"));
}

TEST_CASE("tasks go only to devices that can run them", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  db::Task task = rig.task;
  task.target = "x86/avx512,vnni l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task, "") == 0);
  task.target = "x86/avx2 l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task, "") > 0);
  task.threads = 3;
  CHECK(rig.dispatcher->Appetite(task, "") == 0);
  task.threads = 1;
  task.target = "aarch64/neon l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task, "") == 0);
}

TEST_CASE("an abandoned job's trials are given back and cancelled at the worker", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.Start(1);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  rig.dispatcher->Abandon(rig.job_id);
  REQUIRE(rig.records.size() == 2);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kCancelled);
  CHECK(link->All<proto::Cancel>().size() == 2);
}

TEST_CASE("of a result whose job ends one record is stored, by the job or as stale", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto plan = rig.PlanFor(0, *link);
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.records.size() == 1);  // in the job's inbox, which it does not look at again
  const bool stored_by_job = GENERATE(false, true);
  CAPTURE(stored_by_job);
  if (stored_by_job) REQUIRE(rig.store.Append(rig.records, {}).ok());  // not told to the dispatcher
  rig.dispatcher->Abandon(rig.job_id);
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].attempt_key == plan.lease.AttemptKey());
  CHECK(stored[0].trace == "trace 0");
  CHECK(stored[0].device == "w/cpu");
  CHECK(stored[0].measurement == rig.records[0].measurement);
  CHECK(stored[0].stale == !stored_by_job);
  CHECK(link->Acknowledged(plan.lease.fence));
}

TEST_CASE("a result that can't be stored is not acknowledged and may be sent again", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Propose(0);
  const auto plan = rig.PlanFor(0, *link);
  rig.Reply(*link, FakeRun(plan));
  rig.store.full = true;
  rig.dispatcher->Abandon(rig.job_id);
  CHECK_FALSE(link->Acknowledged(plan.lease.fence));
  rig.Reply(*link, FakeRun(plan));
  CHECK_FALSE(link->Acknowledged(plan.lease.fence));
  rig.store.full = false;
  rig.Reply(*link, FakeRun(plan));
  CHECK(link->Acknowledged(plan.lease.fence));
  CHECK(rig.store.QueryRecords({})->size() == 1);
}

TEST_CASE("a plan says how fast the task's best trial was", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const double seconds[] = {2e-3, 1e-3, 3e-3};
  const double best_before[] = {0, 2e-3, 1e-3};
  for (int trial = 0; trial < 3; ++trial) {
    const auto plan = rig.PlanFor(trial, *link);
    CHECK(plan.best_seconds == best_before[trial]);
    rig.Reply(*link, FakeRun(plan, seconds[trial]));
  }
}

TEST_CASE("a plan says how fast the task's best trial was on such a device, not on others",
          "[server]") {
  Rig rig;
  auto builder = rig.Connect("builder", {}, "first", true, false);
  const auto connect = [&](const std::string& name, const std::string& device_class) {
    db::Device device = FakeDevice(name + "/cpu");
    device.builds = false;
    device.device_class = {device_class, ""};
    return rig.Connect(name, {device}, {}, "first", 0);
  };
  // Runs a trial there, which every other runner refuses, and returns its plan.
  const auto run = [&](int64_t trial, RecordingLink& link, const std::vector<double>& samples) {
    rig.Start(trial);
    rig.BuildAll(*builder);
    const auto plan = link.Last<proto::RunPlan>();
    proto::RunResult result = FakeRun(plan);
    result.measurements.at(0).sample_seconds = samples;
    rig.Reply(link, result);
    return plan;
  };
  auto fast = connect("fast", "x86/fast");
  CHECK(run(0, *fast, {1e-3}).best_seconds == 0);
  CHECK(run(1, *fast, {2e-3}).best_seconds == 1e-3);
  REQUIRE(rig.dispatcher->Drain("fast/cpu", "the other's turn").ok());
  auto slow = connect("slow", "x86/slow");
  CHECK(run(2, *slow, {5e-3}).best_seconds == 0);
  // What can't be is no best, though the record says what was said.
  CHECK(run(3, *slow, {0}).best_seconds == 5e-3);
  CHECK(run(4, *slow, {-1}).best_seconds == 5e-3);
  CHECK(run(5, *slow, {std::nan("")}).best_seconds == 5e-3);
  CHECK(run(6, *slow, {}).best_seconds == 5e-3);
  CHECK(run(7, *slow, {4e-3}).best_seconds == 5e-3);
  CHECK(run(8, *slow, {4e-3}).best_seconds == 4e-3);
}

}  // namespace
}  // namespace tessera::server
