#include "server/dispatcher.h"

#include <catch2/catch.hpp>
#include <set>

#include "base/rng.h"
#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using test::FakeBuild;
using test::FakeDevice;
using test::FakeRun;
using Rig = DispatcherRig;

TEST_CASE("a lease without a heartbeat is lost and handed out again under a new fence",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  const auto plan = rig.PlanFor(0, *link);
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
  const auto plan = rig.PlanFor(0, *link);
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
  const auto plan = rig.PlanFor(0, *link);
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

TEST_CASE("results under another worker's fence are not believed", "[server]") {
  Rig rig;
  auto honest = rig.Connect("honest");
  rig.Propose(0);
  const auto plan = rig.PlanFor(0, *honest);
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
                         .device = "liar/cpu",
                         .measurements = {test::FakeMeasurement(1e-9)}};
    rig.Reply(*liar, lie);
    CHECK(liar->Acknowledged(fence));
  }
  CHECK(rig.store.QueryRecords({})->empty());
}

TEST_CASE("results under a fence that was not one to run are not stored", "[server]") {
  Rig rig;
  auto honest = rig.Connect("honest");
  rig.Propose(0);
  const auto plan = rig.PlanFor(0, *honest);
  rig.Reply(*honest, FakeRun(plan));
  REQUIRE(rig.records.size() == 1);
  rig.dispatcher->Stored(rig.records[0]);
  // Neither a build's, whosever it was, nor that of a plan of another worker.
  std::set<uint64_t> fences{plan.lease.fence};
  for (const auto& request : honest->All<proto::BuildRequest>()) fences.insert(request.fence);
  REQUIRE(fences.size() == 3);
  auto liar = rig.Connect("liar", {}, "first", false);
  for (const uint64_t fence : fences) {
    for (const auto& [link, device] :
         {std::pair{liar, "liar/cpu"}, std::pair{honest, "honest/cpu"}}) {
      if (link == honest && fence == plan.lease.fence) continue;
      proto::RunResult lie = FakeRun(plan, 1e-9);
      lie.lease.fence = fence;
      lie.device = device;
      rig.Reply(*link, lie);
      CHECK(link->Acknowledged(fence));
    }
  }
  CHECK(rig.store.QueryRecords({})->empty());
}

TEST_CASE("a result of an earlier start of the server is stored as stale", "[server]") {
  Rig rig({.first_fence = 1000});
  auto link = rig.Connect("w");
  rig.Propose(0);
  proto::RunResult late{.lease = {.job_id = rig.job_id, .trial = 0, .fence = 999},
                        .device = "w/cpu",
                        .measurements = {test::FakeMeasurement()}};
  rig.Reply(*link, late);
  REQUIRE(rig.store.QueryRecords({})->size() == 1);
  late.lease.fence = 1000;
  rig.Reply(*link, late);
  CHECK(rig.store.QueryRecords({})->size() == 1);
}

TEST_CASE("of leases to run those that ended last are remembered", "[server]") {
  LeaseTable leases(1);
  constexpr uint64_t kForgotten = 3;
  Lease run;
  run.kind = LeaseKind::kRun;
  run.worker = "w";
  const uint64_t longest = leases.Grant(run, {}, {}).fence;
  uint64_t last = longest;
  for (uint64_t i = 0; i < LeaseTable::kMaxEndedRuns + kForgotten - 1; ++i) {
    last = leases.Grant(run, {}, {}).fence;
    leases.Take(last);
  }
  leases.Take(longest);
  CHECK(leases.MayHaveRun("w", longest));
  CHECK_FALSE(leases.MayHaveRun("v", longest));
  CHECK_FALSE(leases.MayHaveRun("w", longest + kForgotten));
  CHECK(leases.MayHaveRun("w", longest + kForgotten + 1));
  CHECK(leases.MayHaveRun("w", last));
  CHECK_FALSE(leases.MayHaveRun("w", last + 1));
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
  CHECK(again[0].artifacts == plans[1].artifacts);
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

TEST_CASE("a draining device finishes what it holds and gets nothing new", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Start(0);
  rig.BuildAll(*link);
  REQUIRE(rig.dispatcher->Drain("w/cpu", "maintenance").ok());
  CHECK(link->Last<proto::Drain>().draining);
  CHECK(rig.dispatcher->Appetite(rig.task, "") == 0);
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
      if (!given_back.empty() && rig.dispatcher->Appetite(rig.task, "") > 0) {
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
        rig.Reply(link, rng.Chance(0.1) ? FailedRun(*plan, db::Outcome::kInfrastructure)
                                        : FakeRun(*plan));
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
