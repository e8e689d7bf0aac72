#include "server/dispatcher.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <utility>

#include "base/rng.h"
#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using test::FakeBuild;
using test::FakeDevice;
using test::FakeRun;
using Rig = DispatcherRig;

proto::RunResult Failed(const proto::RunPlan& plan, db::Outcome outcome) {
  proto::RunResult result{.lease = plan.lease, .device = plan.device};
  result.measurement.outcome = outcome;
  result.measurement.reason = "signal 11";
  return result;
}

TEST_CASE("a trial is built, run and given back as a record", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  CHECK(rig.dispatcher->Appetite(rig.task) > 0);
  rig.Start(7);
  REQUIRE(link->All<proto::BuildRequest>().size() == 2);  // the reference, then the trial
  CHECK(link->All<proto::BuildRequest>()[0].is_reference);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  CHECK(plan.artifact.digest == Sha256Hex("artifact of trace 7"));
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
}

TEST_CASE("a result is acknowledged when it is on disk, not before", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.Reply(*link, FakeRun(plan));
  CHECK_FALSE(link->Acknowledged(plan.lease.fence));
  rig.dispatcher->Stored(rig.records[0]);
  CHECK(link->Acknowledged(plan.lease.fence));
}

TEST_CASE("a result that is sent twice before the commit counts once", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.Reply(*link, FakeRun(plan));
  rig.Reply(*link, FakeRun(plan));
  CHECK(rig.records.size() == 1);
  CHECK(rig.store.QueryRecords({})->empty());  // not stored as stale either
}

TEST_CASE("builds are asked for while a plan runs", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const int appetite = rig.dispatcher->Appetite(rig.task);
  for (int trial = 0; trial < appetite; ++trial) rig.Start(trial);
  CHECK(rig.dispatcher->Appetite(rig.task) == 0);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  // Two plans at the runner, everything else built and waiting.
  CHECK(link->All<proto::RunPlan>().size() == 2);
  CHECK(link->All<proto::BuildRequest>().size() == static_cast<size_t>(appetite + 1));
  rig.Reply(*link, FakeRun(link->All<proto::RunPlan>()[0]));
  CHECK(link->All<proto::RunPlan>().size() == 3);
  CHECK(rig.dispatcher->Appetite(rig.task) == 1);
}

TEST_CASE("the task's reference is built once and served to all trials", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  for (int trial = 0; trial < 4; ++trial) {
    rig.Start(trial);
    rig.BuildAll(*link);
    rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>()));
  }
  int references = 0;
  for (const auto& request : link->All<proto::BuildRequest>()) references += request.is_reference;
  CHECK(references == 1);
  CHECK(rig.records.size() == 4);
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

TEST_CASE("a lease without a heartbeat is lost and handed out again under a new fence",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.clock.Advance(absl::Seconds(6));
  rig.Reply(*link, proto::Heartbeat{{plan.lease.fence}});
  rig.clock.Advance(absl::Seconds(6));
  rig.dispatcher->Tick();
  CHECK(link->All<proto::RunPlan>().size() == 1);  // the heartbeat kept it
  rig.clock.Advance(absl::Seconds(6));
  rig.Reply(*link, proto::Heartbeat{{}});
  rig.dispatcher->Tick();
  const auto again = link->Last<proto::RunPlan>();
  CHECK(again.lease.fence > plan.lease.fence);
  CHECK(again.lease.attempt == 1);
  CHECK(link->Last<proto::Cancel>().fence == plan.lease.fence);
  CHECK(rig.records.empty());
}

TEST_CASE("three lost leases give the trial back", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  for (int i = 0; i < 3; ++i) {
    rig.clock.Advance(absl::Seconds(11));
    rig.Reply(*link, proto::Heartbeat{{}});
    rig.dispatcher->Tick();
  }
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kInfrastructure);
}

TEST_CASE("a late result is stored as stale and acknowledged", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Propose(0);
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.clock.Advance(absl::Seconds(11));
  rig.Reply(*link, proto::Heartbeat{{}});
  rig.dispatcher->Tick();
  rig.Reply(*link, FakeRun(plan));  // under the old fence
  CHECK(rig.records.empty());
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].stale);
  CHECK(stored[0].trace == "trace 0");
  CHECK(stored[0].attempt_key == plan.lease.AttemptKey());
  CHECK(link->Acknowledged(plan.lease.fence));
  CHECK(rig.store.logs_read == 0);
  CHECK(rig.store.Best(rig.task.Key(), "", 10)->empty());
  // The attempt that is under way still counts.
  rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>()));
  CHECK(rig.records.size() == 1);
}

TEST_CASE("a late result is of the device that it names", "[server]") {
  Rig rig;
  db::Device big = FakeDevice("w/big");
  big.device_class = {"x86/big", ""};
  auto link = rig.Connect("w", {FakeDevice("w/small"), big}, {}, "first", 1);
  for (int64_t trial : {0, 1}) {
    rig.Propose(trial);
    rig.Start(trial);
    rig.BuildAll(*link);
    rig.BuildAll(*link);
  }
  const auto plans = link->All<proto::RunPlan>();
  REQUIRE(plans.size() == 2);
  REQUIRE(plans[0].device != plans[1].device);
  rig.clock.Advance(absl::Seconds(11));
  rig.Reply(*link, proto::Heartbeat{{}});
  rig.dispatcher->Tick();
  for (const auto& plan : plans) rig.Reply(*link, FakeRun(plan));
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 2);
  for (const db::Record& record : stored) {
    CAPTURE(record.attempt_key);
    CHECK(record.stale);
    CHECK(record.device == plans[record.trial].device);
    CHECK(record.device_class == (record.device == "w/big" ? "x86/big" : "x86/fake"));
  }
}

TEST_CASE("a result of a device that its lease is not of is refused", "[server]") {
  Rig rig;
  auto link = rig.Connect("w", {FakeDevice("w/a"), FakeDevice("w/b")}, {}, "first", 1);
  rig.Propose(0);
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  proto::RunResult result = FakeRun(plan);
  result.device = "w/c";
  absl::Status refused = rig.dispatcher->Receive(link.get(), result);
  CHECK(refused == absl::InvalidArgumentError(
                       "run result device: \"w/c\" is not one that worker w said hello with "
                       "(w/a, w/b); name the plan's device"));
  result.device = plan.device == "w/a" ? "w/b" : "w/a";
  refused = rig.dispatcher->Receive(link.get(), result);
  CHECK(refused == absl::InvalidArgumentError(absl::StrCat("run result device: \"", result.device,
                                                           "\" for a plan of device ", plan.device,
                                                           "; name the plan's device")));
  CHECK(rig.records.empty());
  CHECK(rig.store.QueryRecords({})->empty());
  rig.Reply(*link, FakeRun(plan));  // the lease is as it was
  CHECK(rig.records.size() == 1);
}

TEST_CASE("a worker that comes back keeps what it holds and loses the rest", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.Start(1);
  rig.BuildAll(*link);
  rig.BuildAll(*link);
  const auto plans = link->All<proto::RunPlan>();
  REQUIRE(plans.size() == 2);
  rig.dispatcher->Disconnect(link.get());
  rig.clock.Advance(absl::Seconds(3));
  auto back = rig.Connect("w", {plans[0].lease.fence, 4711});
  CHECK(back->Last<proto::Cancel>().fence == 4711);  // nobody here knows it
  const auto again = back->All<proto::RunPlan>();
  REQUIRE(again.size() == 1);
  CHECK(again[0].artifact.digest == plans[1].artifact.digest);
  CHECK(again[0].lease.fence > plans[1].lease.fence);
  rig.Reply(*back, FakeRun(plans[0]));  // measured while the line was down
  CHECK(rig.records.size() == 1);
}

TEST_CASE("a second process under a live worker's name is refused", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  auto other = std::make_shared<RecordingLink>();
  const proto::Hello hello{
      .worker = "w", .instance = "second", .devices = {FakeDevice("w/cpu")}, .build_slots = 1};
  CHECK(absl::IsAlreadyExists(rig.dispatcher->Connect(hello, other)));
  rig.clock.Advance(absl::Seconds(11));  // the first one is silent: it died
  CHECK(rig.dispatcher->Connect(hello, other).ok());
  CHECK(link->closed);
}

TEST_CASE("of two processes that connect under one name at once the second is refused",
          "[server]") {
  Rig rig;
  auto second = std::make_shared<RecordingLink>();
  absl::Status refused;
  rig.store.on_device = [&] {  // while the first one's device is being stored
    refused = rig.dispatcher->Connect(
        {.worker = "w", .instance = "second", .devices = {FakeDevice("w/other")}, .build_slots = 1},
        second);
  };
  auto first = rig.Connect("w");
  CHECK(absl::IsAlreadyExists(refused));
  CHECK(second->messages.empty());
  CHECK_FALSE(first->closed);
  CHECK(rig.devices->Accepts("w/cpu"));
  CHECK_FALSE(rig.devices->Accepts("w/other"));
  rig.Start(0);
  CHECK(first->All<proto::BuildRequest>().size() == 2);
  rig.dispatcher->Disconnect(first.get());
  CHECK_FALSE(rig.devices->Accepts("w/cpu"));
}

TEST_CASE("devices that a worker comes back without are offline", "[server]") {
  Rig rig;
  rig.Connect("w", {FakeDevice("w/a"), FakeDevice("w/b")}, {}, "first", 1);
  auto back = rig.Connect("w", {FakeDevice("w/b")}, {}, "first", 1);  // the line dropped unnoticed
  CHECK_FALSE(rig.devices->Accepts("w/a"));
  CHECK(rig.devices->Accepts("w/b"));
  const auto stored = *rig.store.ListDevices();
  REQUIRE(stored.size() == 2);
  for (const db::Device& device : stored) {
    CHECK(device.state == (device.id == "w/a" ? "offline" : "online"));
  }
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
  rig.Reply(first, Failed(first.Last<proto::RunPlan>(), db::Outcome::kRunError));
  CHECK(rig.records.empty());
  rig.Reply(second, Failed(second.Last<proto::RunPlan>(), db::Outcome::kRunError));
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kRunError);
}

TEST_CASE("a crash on the only device is final", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  rig.Reply(*link, Failed(link->Last<proto::RunPlan>(), db::Outcome::kRunError));
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
      rig.Reply(*bad, Failed(bad->Last<proto::RunPlan>(), db::Outcome::kRunError));
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

TEST_CASE("a draining device finishes what it holds and gets nothing new", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  REQUIRE(rig.dispatcher->Drain("w/cpu", "maintenance").ok());
  CHECK(link->Last<proto::Drain>().draining);
  CHECK(rig.dispatcher->Appetite(rig.task) == 0);
  rig.Start(1);
  rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>()));
  CHECK(rig.records.size() == 1);
  CHECK(link->All<proto::BuildRequest>().size() == 2);
  REQUIRE(rig.dispatcher->Resume("w/cpu").ok());
  CHECK(link->All<proto::BuildRequest>().size() == 3);
  CHECK(absl::IsNotFound(rig.dispatcher->Drain("nobody", "")));
}

TEST_CASE("draining outlives a restart of the server", "[server]") {
  Rig rig;
  rig.Connect("w");
  REQUIRE(rig.dispatcher->Drain("w/cpu", "maintenance").ok());
  const auto registry = *DeviceRegistry::Load(rig.store, rig.clock);
  const RecordingLink link;
  registry->Connect({FakeDevice("w/cpu")}, &link);
  CHECK_FALSE(registry->Accepts("w/cpu"));
  CHECK(registry->List()[0].state_reason == "maintenance");
}

TEST_CASE("draining that can't be stored is told to the worker, and stored by a later tick",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.store.full = true;
  CHECK(absl::IsResourceExhausted(rig.dispatcher->Drain("w/cpu", "maintenance")));
  CHECK(link->Last<proto::Drain>().draining);
  rig.store.full = false;
  rig.clock.Advance(absl::Seconds(2));
  rig.dispatcher->Tick();
  CHECK(rig.store.ListDevices()->front().state == "draining");
}

TEST_CASE("a stream that ends late leaves the one that replaced it connected", "[server]") {
  Rig rig;
  const std::vector<db::Device> devices = {FakeDevice("w/cpu")};
  const RecordingLink first, second;
  rig.devices->Connect(devices, &first);
  rig.devices->Connect(devices, &second);
  rig.devices->Disconnect(devices, &first);
  CHECK(rig.devices->Accepts("w/cpu"));
  rig.devices->Disconnect(devices, &second);
  CHECK_FALSE(rig.devices->Accepts("w/cpu"));
}

TEST_CASE("tasks go only to devices that can run them", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  db::Task task = rig.task;
  task.target = "x86/avx512,vnni l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task) == 0);
  task.target = "x86/avx2 l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task) > 0);
  task.threads = 3;
  CHECK(rig.dispatcher->Appetite(task) == 0);
  task.threads = 1;
  task.target = "aarch64/neon l1=32768 l2=1048576 threads=2";
  CHECK(rig.dispatcher->Appetite(task) == 0);
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

TEST_CASE("a result that a job took and ended without storing is stored, then acknowledged",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.records.size() == 1);  // in the job's inbox, which it does not look at again
  rig.dispatcher->Abandon(rig.job_id);
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].attempt_key == plan.lease.AttemptKey());
  CHECK(stored[0].trace == "trace 0");
  CHECK(stored[0].device == "w/cpu");
  CHECK(stored[0].measurement == rig.records[0].measurement);
  CHECK(stored[0].stale);
  CHECK(link->Acknowledged(plan.lease.fence));
}

TEST_CASE("a result that the job stored itself stays as it is when the job is abandoned",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.store.Append({rig.records[0]}, {}).ok());  // and the job has not said so yet
  rig.dispatcher->Abandon(rig.job_id);
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 1);
  CHECK_FALSE(stored[0].stale);
  CHECK(link->Acknowledged(plan.lease.fence));
}

TEST_CASE("a result that can't be stored is not acknowledged and may be sent again", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Propose(0);
  rig.Start(0);
  rig.BuildAll(*link);
  const auto plan = link->Last<proto::RunPlan>();
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
    rig.Start(trial);
    rig.BuildAll(*link);
    const auto plan = link->Last<proto::RunPlan>();
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
    result.measurement.sample_seconds = samples;
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
  rig.Start(0);
  rig.BuildAll(*link);
  const auto waits = link->Last<proto::RunPlan>();
  const db::Task task = rig.task;
  for (int64_t trial = 1; trial < 300; ++trial) {
    rig.task.workload = absl::StrCat("workload ", trial);
    rig.Start(trial);
    rig.BuildAll(*link);
    rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>()));
    link->messages.clear();
  }
  rig.task = task;
  rig.Start(300);
  CHECK(link->All<proto::BuildRequest>().size() == 1);
  rig.Reply(*link, FakeRun(waits));
  CHECK(rig.records.size() == 300);
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

TEST_CASE("results under another worker's fence are not believed", "[server]") {
  Rig rig;
  auto honest = rig.Connect("honest");
  rig.Propose(0);
  rig.Start(0);
  rig.BuildAll(*honest);
  const auto plan = honest->Last<proto::RunPlan>();
  auto liar = rig.Connect("liar", {}, "first", false);
  proto::RunResult lie = FakeRun(plan, 1e-9);
  lie.device = "liar/cpu";
  rig.Reply(*liar, lie);
  CHECK(rig.records.empty());
  CHECK(liar->Acknowledged(plan.lease.fence));
  rig.Reply(*honest, FakeRun(plan, 1e-3));
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.CostSeconds() == 1e-3);
  rig.Reply(*liar, lie);  // the commit is pending
  CHECK(liar->All<proto::Acknowledge>().size() == 2);
  // The attempt is still free in the store.
  CHECK(rig.store.QueryRecords({})->empty());
  REQUIRE(rig.store.Append({rig.records[0]}, {}).ok());
  const auto stored = *rig.store.QueryRecords({});
  REQUIRE(stored.size() == 1);
  CHECK_FALSE(stored[0].stale);
}

TEST_CASE("results under a fence that was not given yet are not stored", "[server]") {
  Rig rig;
  auto honest = rig.Connect("honest");
  rig.Propose(0);
  rig.Start(0);
  auto liar = rig.Connect("liar", {}, "first", false);
  for (uint64_t fence = 1; fence < 9; ++fence) {
    proto::RunResult lie{.lease = {.job_id = rig.job_id, .trial = 0, .fence = fence},
                         .device = "liar/cpu"};
    lie.measurement.outcome = db::Outcome::kOk;
    lie.measurement.sample_seconds = {1e-9};
    lie.measurement.sample_calls = {1};
    rig.Reply(*liar, lie);
    CHECK(liar->Acknowledged(fence));
  }
  CHECK(rig.store.QueryRecords({})->empty());
}

TEST_CASE("random losses, reconnects and late results never lose or double a trial", "[server]") {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    Rig rig({.max_attempts = 1000});
    constexpr int kTrials = 30;
    std::vector<std::shared_ptr<RecordingLink>> links = {rig.Connect("a"), rig.Connect("b")};
    std::vector<std::set<uint64_t>> unanswered(2);
    std::vector<size_t> seen(2, 0);
    for (int trial = 0; trial < kTrials; ++trial) rig.Start(trial);
    std::vector<int64_t> given_back;
    int steps = 0;
    while (++steps < 20000) {
      // Given back while both workers were silent: the job hands it out again.
      std::erase_if(rig.records, [&](const db::Record& record) {
        if (record.measurement.outcome != db::Outcome::kCancelled) return false;
        given_back.push_back(record.trial);
        return true;
      });
      if (rig.records.size() == kTrials) break;
      if (!given_back.empty() && rig.dispatcher->Appetite(rig.task) > 0) {
        rig.Start(given_back.back());
        given_back.pop_back();
      }
      const int w = static_cast<int>(rng.Below(2));
      RecordingLink& link = *links[w];
      if (rng.Chance(0.02)) {  // the worker's process restarts or its line drops
        rig.dispatcher->Disconnect(&link);
        std::vector<uint64_t> held;
        if (rng.Chance(0.5)) held.assign(unanswered[w].begin(), unanswered[w].end());
        links[w] = rig.Connect(w == 0 ? "a" : "b", held, absl::StrCat(steps));
        seen[w] = 0;
        continue;
      }
      if (rng.Chance(0.05)) {
        rig.clock.Advance(absl::Seconds(rng.Between(1, 12)));
        if (rng.Chance(0.7)) {
          rig.Reply(link, proto::Heartbeat{{unanswered[w].begin(), unanswered[w].end()}});
        }
        rig.dispatcher->Tick();
        if (link.closed) {
          links[w] = rig.Connect(w == 0 ? "a" : "b", {}, absl::StrCat(steps));
          seen[w] = 0;
        }
        continue;
      }
      if (seen[w] >= link.messages.size()) continue;
      const proto::ServerMessage message = link.messages[seen[w]++];
      if (const auto* request = std::get_if<proto::BuildRequest>(&message)) {
        unanswered[w].insert(request->fence);
        if (rng.Chance(0.1)) continue;  // never answered
        const std::string bytes = absl::StrCat("artifact of ", request->trace);
        REQUIRE(rig.artifacts->Put(bytes).ok());
        rig.Reply(link, FakeBuild(*request, bytes));
        unanswered[w].erase(request->fence);
      } else if (const auto* plan = std::get_if<proto::RunPlan>(&message)) {
        unanswered[w].insert(plan->lease.fence);
        if (rng.Chance(0.1)) continue;
        rig.Reply(link,
                  rng.Chance(0.1) ? Failed(*plan, db::Outcome::kInfrastructure) : FakeRun(*plan));
        unanswered[w].erase(plan->lease.fence);
      }
    }
    REQUIRE(rig.records.size() == kTrials);
    std::set<int64_t> trials;
    std::set<std::string> keys;
    for (const db::Record& record : rig.records) {
      trials.insert(record.trial);
      keys.insert(record.attempt_key);
      CHECK(record.measurement.outcome == db::Outcome::kOk);
    }
    CHECK(trials.size() == kTrials);
    CHECK(keys.size() == kTrials);
  }
}

}  // namespace
}  // namespace tessera::server
