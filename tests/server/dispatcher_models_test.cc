// Models that are measured as a whole: who is asked, and what comes back.

#include <catch2/catch.hpp>
#include <optional>

#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using Result = absl::StatusOr<proto::ModelResult>;

struct Rig : DispatcherRig {
  // The number of what is asked for; its result goes to `result`.
  absl::StatusOr<uint64_t> Ask(const std::string& target = test::kFakeTarget,
                               const std::string& of_class = "") {
    proto::ModelPlan plan{.name = "net",
                          .libraries = {{"libnet.so", std::string(64, 'a'), 1},
                                        {"libnet.so", std::string(64, 'b'), 1}},
                          .steps = 1,
                          .threads = 2};
    return dispatcher->MeasureModels(plan, ir::ParseTarget(target).value(), of_class,
                                     [this](Result done) { result = std::move(done); });
  }
  static proto::ModelResult ResultOf(const proto::ModelPlan& plan) {
    proto::ModelResult made{.fence = plan.fence, .device = plan.device};
    made.timings.resize(plan.libraries.size());
    for (proto::ModelTiming& timing : made.timings) {
      timing.measurement = test::FakeMeasurement();
      timing.step_seconds = {1e-3};
    }
    return made;
  }
  std::optional<Result> result;
};

}  // namespace

TEST_CASE("a device that can run a model measures it", "[server]") {
  Rig rig;
  auto builder = rig.Connect("b", {}, "first", true, /*runs=*/false);
  auto link = rig.Connect("w");
  REQUIRE(rig.Ask().ok());
  CHECK(builder->All<proto::ModelPlan>().empty());
  const auto plan = link->Last<proto::ModelPlan>();
  CHECK(plan.device == "w/cpu");
  CHECK(plan.fence != 0);
  rig.Reply(*link, Rig::ResultOf(plan));
  REQUIRE(rig.result);
  REQUIRE(rig.result->ok());
  CHECK((*rig.result)->timings.size() == 2);
  CHECK(link->Acknowledged(plan.fence));
  rig.result.reset();
  rig.Reply(*link, Rig::ResultOf(plan));  // sent twice
  CHECK_FALSE(rig.result);
}

TEST_CASE("what no device can run is told at once", "[server]") {
  Rig rig;
  CHECK(absl::IsFailedPrecondition(rig.Ask().status()));
  auto link = rig.Connect("w");
  CHECK(absl::IsFailedPrecondition(rig.Ask("aarch64/neon threads=2").status()));
  CHECK(absl::IsFailedPrecondition(rig.Ask(test::kFakeTarget, "another class").status()));
  CHECK(link->All<proto::ModelPlan>().empty());
}

TEST_CASE("timings of another plan or device are refused", "[server]") {
  Rig rig;
  auto link = rig.Connect("w", {test::FakeDevice("w/a"), test::FakeDevice("w/b")}, {}, "first", 1);
  REQUIRE(rig.Ask().ok());
  const auto plan = link->Last<proto::ModelPlan>();
  proto::ModelResult result = Rig::ResultOf(plan);
  result.device = plan.device == "w/a" ? "w/b" : "w/a";
  CHECK(absl::IsInvalidArgument(rig.dispatcher->Receive(link.get(), result)));
  result = Rig::ResultOf(plan);
  result.timings.pop_back();
  CHECK(absl::IsInvalidArgument(rig.dispatcher->Receive(link.get(), result)));
  CHECK_FALSE(rig.result);
  rig.Reply(*link, Rig::ResultOf(plan));
  CHECK(rig.result);
}

TEST_CASE("a model whose worker is lost is aborted, one that nobody wants cancelled", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  SECTION("lost") {
    REQUIRE(rig.Ask().ok());
    rig.clock.Advance(absl::Seconds(11));
    rig.Reply(*link, proto::Heartbeat{{}});
    rig.dispatcher->Tick();
    REQUIRE(rig.result);
    CHECK(absl::IsAborted(rig.result->status()));
  }
  SECTION("cancelled") {
    const auto number = rig.Ask();
    REQUIRE(number.ok());
    const auto plan = link->Last<proto::ModelPlan>();
    rig.dispatcher->CancelModels(*number);
    CHECK(link->Last<proto::Cancel>().fence == plan.fence);
    rig.Reply(*link, Rig::ResultOf(plan));
    CHECK(link->Acknowledged(plan.fence));
    CHECK_FALSE(rig.result);
  }
  SECTION("the server stops") {
    REQUIRE(rig.Ask().ok());
    rig.dispatcher.reset();
    REQUIRE(rig.result);
    CHECK(absl::IsUnavailable(rig.result->status()));
  }
}

TEST_CASE("a model at a device counts as one of its plans", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  REQUIRE(rig.Ask().ok());
  REQUIRE(rig.Ask().ok());
  for (int64_t trial = 0; trial < 3; ++trial) rig.Start(trial);
  for (int i = 0; i < 4; ++i) rig.BuildAll(*link);
  CHECK(link->All<proto::RunPlan>().empty());  // two are there already
  for (const auto& plan : link->All<proto::ModelPlan>()) rig.Reply(*link, Rig::ResultOf(plan));
  CHECK(link->All<proto::RunPlan>().size() == 2);
}

TEST_CASE("what runs behind models has their time, too", "[server]") {
  LeaseTable leases(1);
  const absl::Time now = absl::FromUnixSeconds(1000);
  const auto deadline = [&](LeaseKind kind, const std::string& device) {
    return leases.Grant({.kind = kind, .device = device}, now, absl::Minutes(1)).deadline;
  };
  CHECK(deadline(LeaseKind::kRun, "one") == now + absl::Minutes(1));
  CHECK(deadline(LeaseKind::kModels, "one") == now + absl::Minutes(1));
  CHECK(deadline(LeaseKind::kRun, "one") == now + absl::Minutes(2));
  CHECK(deadline(LeaseKind::kModels, "one") == now + absl::Minutes(2));
  CHECK(deadline(LeaseKind::kRun, "other") == now + absl::Minutes(1));
  CHECK(deadline(LeaseKind::kBuild, "one") == now + absl::Minutes(1));
}

}  // namespace tessera::server
