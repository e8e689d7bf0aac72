#include <catch2/catch.hpp>

#include "base/log.h"
#include "tests/server/dispatcher_rig.h"
#include "tests/tuner/synthetic.h"
#include "tuner/job_runner.h"

// What becomes of trials whose devices go away or fall silent.

namespace tessera::server {
namespace {

using Rig = DispatcherRig;

constexpr char kArmTarget[] = "aarch64/neon l1=32768 l2=1048576 threads=2";

db::Device ArmDevice(const std::string& id) {
  db::Device device = test::FakeDevice(id);
  device.device_class = {"aarch64/fake", "another kind of device"};
  device.target = kArmTarget;
  return device;
}

// A whole job of one task over the rig's dispatcher.
struct ToyJob {
  ToyJob(Rig& rig, db::Task task, int trials, const std::string& device_class = "") {
    SetLogLevel("off");
    db::Job job;
    job.name = task.name;
    job.options.trials_per_task = trials;
    job.options.explorer = "random";
    job.options.device_class = device_class;
    job.tasks = {std::move(task)};
    id = *rig.store.CreateJob(job);
    auto made = tuner::JobRunner::Create(*rig.store.GetJob(id),
                                         {{std::make_shared<test::SyntheticSpace>(1)},
                                          std::make_shared<test::RidgeLearner>(),
                                          rig.store,
                                          *rig.dispatcher,
                                          executor,
                                          rig.clock});
    INFO(made.status());
    REQUIRE(made.ok());
    runner = *std::move(made);
  }
  // One step; false once the job has ended.
  bool Step() { return runner->Step(); }
  bool Done() const { return runner->Progress()->state == db::JobState::kDone; }

  tuner::InlineExecutor executor;
  int64_t id = 0;
  std::unique_ptr<tuner::JobRunner> runner;
};

// Answers everything that came over a link, at once.
struct Worker {
  void Play(Rig& rig) {
    rig.Reply(*link, proto::Heartbeat{{}});
    rig.BuildAll(*link);
    for (const auto& plan : link->All<proto::RunPlan>()) {
      if (ran.insert(plan.lease.fence).second) rig.Reply(*link, test::FakeRun(plan));
    }
  }
  std::shared_ptr<RecordingLink> link;
  std::set<uint64_t> ran;
};

// Beats for what a link was given, like a worker that is busy with it.
void Beat(Rig& rig, RecordingLink& link) {
  proto::Heartbeat beat;
  for (const auto& request : link.All<proto::BuildRequest>()) beat.held.push_back(request.fence);
  for (const auto& plan : link.All<proto::RunPlan>()) beat.held.push_back(plan.lease.fence);
  rig.Reply(link, beat);
}

// Runs what FakeDevice runs, at a pace of its own.
db::Device OtherClass(const std::string& id) {
  db::Device device = test::FakeDevice(id, /*builds=*/false);
  device.device_class = {"x86/other", "another machine"};
  return device;
}

TEST_CASE("trials of a job go to devices of its class only", "[server]") {
  Rig rig;
  Worker mine{rig.Connect("mine"), {}};
  Worker other{rig.Connect("other", {OtherClass("other/cpu")}, {}, "first", 0), {}};
  rig.device_class = "x86/other";
  const int appetite = rig.dispatcher->Appetite(rig.task, rig.device_class);
  CHECK(rig.dispatcher->Appetite(rig.task, "") > appetite);
  for (int trial = 0; trial < 6; ++trial) rig.Start(trial);
  CHECK(rig.dispatcher->Appetite(rig.task, rig.device_class) == appetite - 6);
  for (int i = 0; i < 20; ++i) {
    mine.Play(rig);
    other.Play(rig);
  }
  CHECK(mine.ran.empty());
  CHECK(other.ran.size() == 6);
  REQUIRE(rig.records.size() == 6);
  for (const db::Record& record : rig.records) CHECK(record.device_class == "x86/other");
  // Without a class every device that runs the target will do.
  rig.device_class.clear();
  for (int trial = 6; trial < 12; ++trial) rig.Start(trial);
  for (int i = 0; i < 20; ++i) {
    mine.Play(rig);
    other.Play(rig);
  }
  CHECK_FALSE(mine.ran.empty());
}

TEST_CASE("trials of another class compete for the builders only", "[server]") {
  Rig rig;
  const auto mine = rig.Connect("mine");
  const auto other = rig.Connect("other", {OtherClass("other/cpu")}, {}, "first", 0);
  const int alone = rig.dispatcher->Appetite(rig.task, "x86/other");
  rig.device_class = "x86/fake";
  rig.Start(0);
  CHECK(rig.dispatcher->Appetite(rig.task, "x86/other") == alone - 1);  // a builder's place
  rig.BuildAll(*mine);
  CHECK(rig.dispatcher->Appetite(rig.task, "x86/other") == alone);
}

TEST_CASE("a job whose class has no device waits, says so, and goes on when there is one",
          "[server]") {
  Rig rig;
  const auto mine = rig.Connect("mine");
  CHECK(rig.dispatcher->Missing(rig.task, "").empty());
  CHECK(rig.dispatcher->Missing(rig.task, "x86/fake").empty());
  ToyJob job(rig, rig.task, 3, "x86/other");
  CHECK(job.Step());
  CHECK(job.runner->Progress()->message ==
        "waits: no connected device of class x86/other takes x86/avx512 with 1 thread; start one: "
        "`tessera worker` on a machine that has x86/avx512");
  db::Task accelerated = rig.task;
  accelerated.target = ir::ToString(ir::ParseTarget("vta").value());
  CHECK_THAT(rig.dispatcher->Missing(accelerated, ""),
             Catch::EndsWith("start one: `tessera worker --runner vta-sim`"));
  accelerated.target = ir::ToString(ir::ParseTarget("vta acc=64").value());
  CHECK_THAT(
      rig.dispatcher->Missing(accelerated, ""),
      Catch::EndsWith("start one: `tessera worker --runner vta-sim --config FILE`, FILE being "
                      "that of " +
                      accelerated.target));
  CHECK(mine->All<proto::BuildRequest>().empty());
  Worker builder{mine, {}};
  Worker other{rig.Connect("other", {OtherClass("other/cpu")}, {}, "first", 0), {}};
  for (int i = 0; i < 40 && job.Step(); ++i) {
    builder.Play(rig);
    other.Play(rig);
  }
  CHECK(job.Done());
  CHECK(builder.ran.empty());
  CHECK(other.ran.size() == 3 + 1);  // the last compares the fastest
}

TEST_CASE("a device that has gone holds up only the jobs that need it", "[server]") {
  Rig rig;
  Worker x86{rig.Connect("x86"), {}};
  Worker arm{rig.Connect("arm", {ArmDevice("arm/cpu")}, {}, "first", 1), {}};
  db::Task arm_task = rig.task;
  arm_task.target = kArmTarget;
  ToyJob lost(rig, arm_task, 20);
  ToyJob other(rig, rig.task, 20);
  lost.Step();  // takes what the device and the builders can hold
  rig.BuildAll(*arm.link);
  rig.dispatcher->Disconnect(arm.link.get());
  for (int round = 0; round < 200 && other.Step(); ++round) {
    rig.clock.Advance(absl::Milliseconds(500));
    x86.Play(rig);
    rig.dispatcher->Tick();
    lost.Step();
  }
  CHECK(other.Done());
  for (int round = 0; round < 60; ++round) {
    rig.clock.Advance(absl::Milliseconds(500));
    x86.Play(rig);
    rig.dispatcher->Tick();
    lost.Step();
  }
  CHECK(lost.runner->Progress()->starved);  // and so it can say what it waits for
  CHECK(lost.runner->Progress()->tasks[0].in_flight == 0);

  arm = {rig.Connect("arm", {ArmDevice("arm/cpu")}, {}, "second", 1), {}};
  for (int round = 0; round < 200 && lost.Step(); ++round) {
    rig.clock.Advance(absl::Milliseconds(500));
    x86.Play(rig);
    arm.Play(rig);
    rig.dispatcher->Tick();
  }
  CHECK(lost.Done());
  db::RecordFilter of_lost;
  of_lost.job_id = lost.id;
  const auto records = *rig.store.QueryRecords(of_lost);
  CHECK(records.size() == 20);
  for (const db::Record& record : records) {
    CHECK(record.measurement.outcome == db::Outcome::kOk);
    CHECK(record.device == "arm/cpu");
  }
}

TEST_CASE("trials of one kind of device leave the others' room alone, but share the builders",
          "[server]") {
  Rig rig;
  auto x86 = rig.Connect("x86");
  auto arm = rig.Connect("arm", {ArmDevice("arm/cpu")}, {}, "first", 0);
  db::Task arm_task = rig.task;
  arm_task.target = kArmTarget;
  const int alone = rig.dispatcher->Appetite(arm_task, "");
  for (int trial = 0; rig.dispatcher->Appetite(rig.task, "") > 0; ++trial) {
    REQUIRE(trial < 100);
    rig.Start(trial);
  }
  CHECK(rig.dispatcher->Appetite(arm_task, "") == alone - 2);  // the builders are full
  for (int i = 0; i < 4; ++i) rig.BuildAll(*x86);
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 0);
  CHECK(rig.dispatcher->Appetite(arm_task, "") == alone);
}

TEST_CASE("a trial is not given back for a device that is away for a moment", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.dispatcher->Disconnect(link.get());
  for (int second = 0; second < 8; ++second) {
    rig.clock.Advance(absl::Seconds(1));
    rig.dispatcher->Tick();
  }
  Worker back{rig.Connect("w", {}, "second"), {}};
  for (int i = 0; i < 3; ++i) back.Play(rig);
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kOk);
}

TEST_CASE("a silent worker loses what it holds and gets nothing more", "[server]") {
  Rig rig;
  auto builder = rig.Connect("builder", {}, "first", true, false);
  auto hung = rig.Connect("a", {}, "first", false);
  auto busy = rig.Connect("b", {}, "first", false);
  for (int trial = 0; trial < 2; ++trial) rig.Start(trial);
  for (int i = 0; i < 3; ++i) rig.BuildAll(*builder);
  REQUIRE(hung->All<proto::RunPlan>().size() == 1);
  REQUIRE(busy->All<proto::RunPlan>().size() == 1);
  // One keeps its plan and beats; the other says no word more.
  for (int second = 0; second < 15; ++second) {
    rig.clock.Advance(absl::Seconds(1));
    Beat(rig, *builder);
    Beat(rig, *busy);
    rig.dispatcher->Tick();
  }
  CHECK(hung->All<proto::RunPlan>().size() == 1);
  REQUIRE(busy->All<proto::RunPlan>().size() == 2);
  CHECK(busy->Last<proto::RunPlan>().lease.attempt == 1);
  for (const auto& plan : busy->All<proto::RunPlan>()) rig.Reply(*busy, test::FakeRun(plan));
  REQUIRE(rig.records.size() == 2);
  for (const db::Record& record : rig.records) {
    CHECK(record.measurement.outcome == db::Outcome::kOk);
  }
}

TEST_CASE("the only worker's silence gives trials back and fails none", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  SECTION("while it builds the reference") {}
  SECTION("while it runs") { rig.BuildAll(*link); }
  const size_t requests = link->All<proto::BuildRequest>().size();
  for (int second = 0; second < 100; ++second) {
    rig.clock.Advance(absl::Seconds(1));
    rig.dispatcher->Tick();
  }
  CHECK(link->All<proto::BuildRequest>().size() == requests);
  CHECK(link->All<proto::RunPlan>().size() <= 1);
  CHECK(link->closed);
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kCancelled);
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 0);
}

TEST_CASE("a worker that goes on after a stop is used again", "[server]") {
  Rig rig;
  Worker worker{rig.Connect("w"), {}};
  rig.Start(0);
  for (int second = 0; second < 7; ++second) {
    rig.clock.Advance(absl::Seconds(1));
    rig.dispatcher->Tick();
  }
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 0);  // nothing more while nobody knows
  for (int i = 0; i < 3; ++i) worker.Play(rig);
  REQUIRE(rig.records.size() == 1);
  CHECK(rig.records[0].measurement.outcome == db::Outcome::kOk);
  CHECK(rig.dispatcher->Appetite(rig.task, "") > 0);
}

}  // namespace
}  // namespace tessera::server
