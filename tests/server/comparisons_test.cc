// Comparisons on their way through the dispatcher.

#include <catch2/catch.hpp>

#include "server/dispatcher.h"
#include "tests/server/dispatcher_rig.h"

namespace tessera::server {
namespace {

using test::FakeBuild;
using test::FakeRun;

struct Rig : DispatcherRig {
  using DispatcherRig::DispatcherRig;
  ~Rig() { dispatcher.reset(); }  // gives back into `runs`

  uint64_t Compare(const std::vector<std::string>& traces) {
    tuner::ComparisonRequest request;
    request.job_id = job_id;
    request.task = task;
    request.device_class = device_class;
    for (const std::string& trace : traces) {
      db::Record& program = request.programs.emplace_back();
      program.trace = trace;
      program.loop_hash = HashToHex(StableHash(trace));
    }
    return dispatcher->StartComparison(request,
                                       [this](auto run) { runs.push_back(std::move(run)); });
  }
  // Answers every request to build that came and was not answered, until there is none.
  void BuildEverything(RecordingLink& link) {
    size_t answered = 0;
    do {
      answered = built.size();
      BuildAll(link);
    } while (built.size() != answered);
  }

  std::vector<absl::StatusOr<tuner::ComparisonRun>> runs;
};

TEST_CASE("a comparison is built and run in one plan, whose measurements it gets", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival", "other"});
  rig.BuildEverything(*link);
  REQUIRE(link->All<proto::BuildRequest>().size() == 4);  // with the reference
  const auto plan = link->Last<proto::RunPlan>();
  CHECK(plan.lease.trial == proto::kNoTrial);
  REQUIRE(plan.artifacts.size() == 3);
  CHECK(plan.artifacts[0].digest == Sha256Hex("artifact of incumbent"));
  CHECK(plan.artifacts[2].digest == Sha256Hex("artifact of other"));
  CHECK(plan.reference.digest == Sha256Hex("artifact of "));
  CHECK(plan.repeats == DispatcherOptions().comparison_turns);
  proto::RunResult result = FakeRun(plan);
  result.measurements[1] = test::FakeMeasurement(2e-3);
  rig.Reply(*link, result);
  REQUIRE(rig.runs.size() == 1);
  REQUIRE(rig.runs[0].ok());
  CHECK(rig.runs[0]->device == "w/cpu");
  CHECK(rig.runs[0]->device_class == "x86/fake");
  REQUIRE(rig.runs[0]->measurements.size() == 3);
  CHECK(rig.runs[0]->measurements[1].CostSeconds() == 2e-3);
  CHECK(link->Acknowledged(plan.lease.fence));
  CHECK(rig.records.empty());
  CHECK(rig.store.QueryRecords({})->empty());
}

TEST_CASE("a program that is compared with itself is built once", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"same", "same"});
  rig.BuildEverything(*link);
  CHECK(link->All<proto::BuildRequest>().size() == 2);
  const auto plan = link->Last<proto::RunPlan>();
  REQUIRE(plan.artifacts.size() == 2);
  CHECK(plan.artifacts[0] == plan.artifacts[1]);
}

TEST_CASE("a program that can't be built any more is left out of the plan", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"old", "rival", "other"});
  const auto request = link->Last<proto::BuildRequest>();
  REQUIRE(request.trace == "old");
  rig.Reply(*link, proto::BuildResult{.fence = request.fence,
                                      .outcome = db::Outcome::kBuildError,
                                      .reason = "trace 0 is not known"});
  rig.built.insert(request.fence);
  rig.BuildEverything(*link);
  const auto plan = link->Last<proto::RunPlan>();
  REQUIRE(plan.artifacts.size() == 2);
  CHECK(plan.artifacts[0].digest == Sha256Hex("artifact of rival"));
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.runs.size() == 1);
  REQUIRE(rig.runs[0].ok());
  REQUIRE(rig.runs[0]->measurements.size() == 3);
  CHECK(rig.runs[0]->measurements[0].outcome == db::Outcome::kBuildError);
  CHECK(rig.runs[0]->measurements[0].reason == "trace 0 is not known");
  CHECK(rig.runs[0]->measurements[1].outcome == db::Outcome::kOk);
}

TEST_CASE("a comparison of which one program at most can be built ends with the reason",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"old", "older"});
  for (int i = 0; i < 2; ++i) {
    const auto request = link->Last<proto::BuildRequest>();
    rig.Reply(*link, proto::BuildResult{.fence = request.fence,
                                        .outcome = db::Outcome::kBuildError,
                                        .reason = "too many registers"});
  }
  REQUIRE(rig.runs.size() == 1);
  CHECK(rig.runs[0].status() ==
        absl::FailedPreconditionError(
            "of 2 programs 0 can be built; the last failure: too many registers"));
}

TEST_CASE("a comparison whose device fails is tried again and given up in the end", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  for (int attempt = 0; attempt < 3; ++attempt) {
    CHECK(rig.runs.empty());
    const auto plan = link->Last<proto::RunPlan>();
    CHECK(plan.lease.attempt == attempt);
    proto::RunResult result = FakeRun(plan);
    result.measurements[1].outcome = db::Outcome::kInfrastructure;
    result.measurements[1].reason = "the disk is full";
    rig.Reply(*link, result);
  }
  REQUIRE(rig.runs.size() == 1);
  CHECK(rig.runs[0].status() ==
        absl::UnavailableError("gave up after 3 attempts, the last: the disk is full"));
}

TEST_CASE("a crash in a comparison is its outcome and not tried elsewhere", "[server]") {
  Rig rig;
  auto link = rig.Connect("a");
  auto other = rig.Connect("b", {}, "first", false);
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  RecordingLink& runs = link->All<proto::RunPlan>().empty() ? *other : *link;
  proto::RunResult result = FakeRun(runs.Last<proto::RunPlan>());
  result.measurements[1].outcome = db::Outcome::kRunError;
  rig.Reply(runs, result);
  REQUIRE(rig.runs.size() == 1);
  REQUIRE(rig.runs[0].ok());
  CHECK(rig.runs[0]->measurements[1].outcome == db::Outcome::kRunError);
}

TEST_CASE("a comparison that is lost with its worker is run elsewhere", "[server]") {
  Rig rig;
  auto link = rig.Connect("a");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  const auto plan = link->Last<proto::RunPlan>();
  auto other = rig.Connect("b");
  rig.clock.Advance(absl::Seconds(11));
  rig.Reply(*other, proto::Heartbeat{});
  rig.dispatcher->Tick();
  const auto again = other->Last<proto::RunPlan>();
  CHECK(again.artifacts == plan.artifacts);
  rig.Reply(*other, FakeRun(again));
  CHECK(rig.runs.size() == 1);
  // What the first one has to say is late, and no record.
  rig.Reply(*link, FakeRun(plan));
  CHECK(rig.runs.size() == 1);
  CHECK(link->Acknowledged(plan.lease.fence));
  CHECK(rig.store.QueryRecords({})->empty());
}

TEST_CASE("a comparison that no device takes is given back", "[server]") {
  Rig rig;
  rig.Compare({"incumbent", "rival"});
  rig.dispatcher->Tick();
  rig.clock.Advance(absl::Seconds(11));
  rig.dispatcher->Tick();
  REQUIRE(rig.runs.size() == 1);
  CHECK(rig.runs[0].status() == absl::CancelledError("no device for it is connected"));
}

TEST_CASE("an abandoned job's comparison and a cancelled one are given back", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  rig.dispatcher->Abandon(rig.job_id);
  REQUIRE(rig.runs.size() == 1);
  CHECK(absl::IsCancelled(rig.runs[0].status()));
  CHECK(link->Last<proto::Cancel>().fence == link->Last<proto::RunPlan>().lease.fence);

  const uint64_t number = rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  rig.dispatcher->CancelComparison(number);
  REQUIRE(rig.runs.size() == 2);
  CHECK(absl::IsCancelled(rig.runs[1].status()));
  CHECK(link->Last<proto::Cancel>().fence == link->Last<proto::RunPlan>().lease.fence);
  rig.dispatcher->CancelComparison(number);
  CHECK(rig.runs.size() == 2);
}

TEST_CASE("a result with another number of measurements than the plan has artifacts is refused",
          "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  const auto plan = link->Last<proto::RunPlan>();
  proto::RunResult result = FakeRun(plan);
  result.measurements.pop_back();
  CHECK(rig.dispatcher->Receive(link.get(), result) ==
        absl::InvalidArgumentError("run result measurements: 1 for a plan of 2 artifacts; send one "
                                   "of each"));
  rig.Reply(*link, FakeRun(plan));  // the lease is as it was
  CHECK(rig.runs.size() == 1);

  const auto trial = rig.PlanFor(0, *link);
  result = FakeRun(trial);
  result.measurements.resize(2, result.measurements[0]);
  CHECK(absl::IsInvalidArgument(rig.dispatcher->Receive(link.get(), result)));
  CHECK(rig.records.empty());
}

TEST_CASE("a comparison's times are not the best that later trials race against", "[server]") {
  Rig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>(), 1e-9));
  CHECK(rig.PlanFor(0, *link).best_seconds == 0);
}

}  // namespace
}  // namespace tessera::server
