// Comparisons on their way through the dispatcher, and a whole server's.

#include <catch2/catch.hpp>

#include "server/dispatcher.h"
#include "tests/server/dispatcher_rig.h"
#include "tests/server/rig.h"

namespace tessera::server {
namespace {

using test::FakeBuild;
using test::FakeRun;

struct PlanRig : DispatcherRig {
  using DispatcherRig::DispatcherRig;
  ~PlanRig() { dispatcher.reset(); }  // gives back into `runs`

  // For a device that is named: calibrates.
  uint64_t Compare(const std::vector<std::string>& traces, const std::string& device = "") {
    tuner::ComparisonRequest request;
    request.device = device;
    if (!device.empty()) request.purpose = db::ComparisonPurpose::kCalibration;
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
  PlanRig rig;
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

TEST_CASE("a calibration is run on the device that it names, in turns of its own", "[server]") {
  PlanRig rig;
  auto a = rig.Connect("a");
  auto b = rig.Connect("b", {}, "first", false);
  auto c = rig.Connect("c", {}, "first", false);
  rig.Compare({"one", "two"}, "c/cpu");
  rig.BuildEverything(*a);
  CHECK(a->All<proto::RunPlan>().empty());
  CHECK(b->All<proto::RunPlan>().empty());
  const auto plan = c->Last<proto::RunPlan>();
  CHECK(plan.device == "c/cpu");
  CHECK(plan.repeats == DispatcherOptions().calibration_turns);
  CHECK(plan.max_seconds == DispatcherOptions().calibration_seconds);
  rig.Reply(*c, FakeRun(plan));
  REQUIRE(rig.runs.size() == 1);
  CHECK(rig.runs[0]->device == "c/cpu");
  // It waits for its device, not for another one.
  REQUIRE(rig.dispatcher->Drain("c/cpu", "").ok());
  rig.Compare({"one", "two"}, "c/cpu");
  rig.BuildEverything(*a);
  CHECK(a->All<proto::RunPlan>().empty());
  REQUIRE(rig.dispatcher->Resume("c/cpu").ok());
  CHECK(c->All<proto::RunPlan>().size() == 2);
}

TEST_CASE("a trial races against the best by the pace of its device", "[server]") {
  PlanRig rig;
  auto a = rig.Connect("a");
  auto b = rig.Connect("b", {}, "first", false);
  // As it is known when a program was measured or only later.
  const bool is_known_late = GENERATE(false, true);
  const auto set_paces = [&] {
    rig.devices->SetPaces("x86/fake", {{"a/cpu", {0.9, 4}}, {"b/cpu", {1.1, 4}}});
  };
  if (!is_known_late) set_paces();
  rig.Reply(*a, FakeRun(rig.PlanFor(0, *a), 1e-3));
  if (is_known_late) set_paces();
  CHECK(rig.dispatcher->Paces("x86/fake") ==
        std::map<std::string, double>{{"a/cpu", 0.9}, {"b/cpu", 1.1}});
  CHECK(rig.dispatcher->Paces("x86/other").empty());
  CHECK(rig.PlanFor(1, *a).best_seconds == Approx(1e-3));
  CHECK(rig.PlanFor(2, *a).lease.trial == 1);  // the other has less to do
  CHECK(b->Last<proto::RunPlan>().best_seconds == Approx(1e-3 / 0.9 * 1.1));
}

TEST_CASE("a program that is compared with itself is built once", "[server]") {
  PlanRig rig;
  auto link = rig.Connect("w");
  rig.Compare({"same", "same"});
  rig.BuildEverything(*link);
  CHECK(link->All<proto::BuildRequest>().size() == 2);
  const auto plan = link->Last<proto::RunPlan>();
  REQUIRE(plan.artifacts.size() == 2);
  CHECK(plan.artifacts[0] == plan.artifacts[1]);
}

TEST_CASE("a program that can't be built any more is left out of the plan", "[server]") {
  PlanRig rig;
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

TEST_CASE("a program that is compiled to other loops now is left out of the plan", "[server]") {
  // Builders of this release refuse it; of one that does not the server sees it.
  for (const db::Outcome outcome : {db::Outcome::kInfrastructure, db::Outcome::kOk}) {
    CAPTURE(db::ToString(outcome));
    PlanRig rig;
    auto link = rig.Connect("w");
    rig.Compare({"old", "rival", "other"});
    const auto request = link->Last<proto::BuildRequest>();
    REQUIRE(request.trace == "old");
    const std::string bytes = "artifact of old";
    REQUIRE(rig.artifacts->Put(bytes).ok());
    proto::BuildResult result = FakeBuild(request, bytes);
    result.outcome = outcome;
    result.loop_hash = "00000000000000ff";
    rig.Reply(*link, result);
    rig.built.insert(request.fence);
    rig.BuildEverything(*link);
    REQUIRE(rig.runs.empty());
    const auto plan = link->Last<proto::RunPlan>();
    REQUIRE(plan.artifacts.size() == 2);
    CHECK(plan.artifacts[0].digest == Sha256Hex("artifact of rival"));
    CHECK(plan.lease.attempt == 0);
    rig.Reply(*link, FakeRun(plan));
    REQUIRE(rig.runs.size() == 1);
    REQUIRE(rig.runs[0].ok());
    CHECK(rig.runs[0]->measurements[0].outcome == db::Outcome::kBuildError);
    CHECK_THAT(rig.runs[0]->measurements[0].reason, Catch::Contains("compiled to other loops now"));
    CHECK(rig.runs[0]->measurements[1].outcome == db::Outcome::kOk);
  }
}

TEST_CASE("a program that is compiled to other loops now can't be compared with itself",
          "[server]") {
  PlanRig rig;
  auto link = rig.Connect("w");
  rig.Compare({"old", "old"});
  const auto request = link->Last<proto::BuildRequest>();
  rig.Reply(*link, proto::BuildResult{.fence = request.fence,
                                      .outcome = db::Outcome::kInfrastructure,
                                      .reason = "loop hash",
                                      .loop_hash = "00000000000000ff"});
  REQUIRE(rig.runs.size() == 1);
  CHECK(absl::IsFailedPrecondition(rig.runs[0].status()));  // an A/A campaign goes on
}

TEST_CASE("a comparison of which the incumbent at most can be built ends with the reason",
          "[server]") {
  for (const bool incumbent : {false, true}) {
    CAPTURE(incumbent);
    PlanRig rig;
    auto link = rig.Connect("w");
    rig.Compare({"old", "older"});
    for (int i = 0; i < 2; ++i) {
      const auto request = link->Last<proto::BuildRequest>();
      if (i == 0 && incumbent) {
        rig.BuildAll(*link);
        continue;
      }
      rig.Reply(*link, proto::BuildResult{.fence = request.fence,
                                          .outcome = db::Outcome::kBuildError,
                                          .reason = "too many registers"});
    }
    REQUIRE(rig.runs.size() == 1);
    CHECK(rig.runs[0].status() == absl::FailedPreconditionError(absl::StrCat(
                                      "of 2 programs ", incumbent ? 1 : 0,
                                      " can be built; the last failure: too many registers")));
  }
}

TEST_CASE("the only program that can be built runs when it is not the incumbent", "[server]") {
  PlanRig rig;
  auto link = rig.Connect("w");
  rig.Compare({"old", "rival"});
  const auto request = link->Last<proto::BuildRequest>();
  REQUIRE(request.trace == "old");
  rig.Reply(*link, proto::BuildResult{.fence = request.fence,
                                      .outcome = db::Outcome::kBuildError,
                                      .reason = "too many registers"});
  rig.built.insert(request.fence);
  rig.BuildEverything(*link);
  REQUIRE(rig.runs.empty());
  const auto plan = link->Last<proto::RunPlan>();
  REQUIRE(plan.artifacts.size() == 1);
  CHECK(plan.artifacts[0].digest == Sha256Hex("artifact of rival"));
  rig.Reply(*link, FakeRun(plan));
  REQUIRE(rig.runs.size() == 1);
  REQUIRE(rig.runs[0].ok());
  CHECK(rig.runs[0]->measurements[0].outcome == db::Outcome::kBuildError);
  CHECK(rig.runs[0]->measurements[1].outcome == db::Outcome::kOk);
}

TEST_CASE("a comparison whose device fails is tried again and given up in the end", "[server]") {
  PlanRig rig;
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
  PlanRig rig;
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
  PlanRig rig;
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
  PlanRig rig;
  rig.Compare({"incumbent", "rival"});
  rig.dispatcher->Tick();
  rig.clock.Advance(absl::Seconds(11));
  rig.dispatcher->Tick();
  REQUIRE(rig.runs.size() == 1);
  CHECK(rig.runs[0].status() == absl::CancelledError("no device for it is connected"));
}

TEST_CASE("an abandoned job's comparison and a cancelled one are given back", "[server]") {
  PlanRig rig;
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
  PlanRig rig;
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

TEST_CASE("a comparison's result with more samples than the plan has turns is refused",
          "[server]") {
  PlanRig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  const auto plan = link->Last<proto::RunPlan>();
  for (const size_t samples : {21, 257, 100'000}) {
    CAPTURE(samples);
    proto::RunResult result = FakeRun(plan);
    for (db::Measurement& one : result.measurements) one.sample_seconds.assign(samples, 1e-3);
    CHECK(rig.dispatcher->Receive(link.get(), result) ==
          absl::InvalidArgumentError(
              absl::StrCat("run result measurements: ", samples,
                           " samples for a plan of 20 turns; send one a turn at most")));
    CHECK(rig.runs.empty());
  }
  proto::RunResult result = FakeRun(plan);
  for (db::Measurement& one : result.measurements) one.sample_seconds.assign(20, 1e-3);
  rig.Reply(*link, result);  // the lease is as it was
  CHECK(rig.runs.size() == 1);
}

TEST_CASE("a comparison's times are not the best that later trials race against", "[server]") {
  PlanRig rig;
  auto link = rig.Connect("w");
  rig.Compare({"incumbent", "rival"});
  rig.BuildEverything(*link);
  rig.Reply(*link, FakeRun(link->Last<proto::RunPlan>(), 1e-9));
  CHECK(rig.PlanFor(0, *link).best_seconds == 0);
}

// A comparison's times: the incumbent's, then those of its rivals, `factor` times as long.
proto::RunResult TurnsOf(const proto::RunPlan& plan, double factor) {
  proto::RunResult result = FakeRun(plan);
  for (size_t i = 0; i < result.measurements.size(); ++i) {
    result.measurements[i].sample_seconds.assign(20, i == 0 ? 1e-3 : factor * 1e-3);
    result.measurements[i].sample_calls.assign(20, 10);
  }
  return result;
}

TEST_CASE("a job's fastest program is compared with its rivals, and the faster one promoted",
          "[server]") {
  for (const double factor : {0.9, 1.02}) {
    CAPTURE(factor);
    Rig rig;
    test::FakeWorker worker(rig.server->port(), {.run = [&](const proto::RunPlan& plan) {
                              return std::make_optional(plan.lease.trial == proto::kNoTrial
                                                            ? TurnsOf(plan, factor)
                                                            : FakeRun(plan));
                            }});
    worker.Connect();
    const auto id = rig.Create(Rig::Request(12));
    REQUIRE(id.ok());
    const v1::JobProgress end = rig.WatchToEnd(*id);
    CHECK(end.state() == v1::JOB_STATE_DONE);
    const auto comparisons = *rig.store->ListComparisons("", "", {}, 9);
    REQUIRE(comparisons.size() == 1);
    const db::Comparison& comparison = comparisons[0];
    CHECK(comparison.job_id == *id);
    CHECK(comparison.record_ids.size() == 5);
    CHECK((comparison.promoted == comparison.record_ids[0]) == (factor > 1));
    CHECK(comparison.ratio == Approx(factor));
    CHECK(end.tasks(0).promoted() == comparison.promoted);
    // Also when it has ended, from the log.
    CHECK(rig.WatchToEnd(*id).tasks(0).promoted() == comparison.promoted);
  }
}

TEST_CASE("a record's program is compared with itself on request", "[server]") {
  Rig rig;
  test::FakeWorker worker(rig.server->port(), {.run = [&](const proto::RunPlan& plan) {
                            return std::make_optional(plan.lease.trial == proto::kNoTrial
                                                          ? TurnsOf(plan, 1.01)
                                                          : FakeRun(plan));
                          }});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(1));  // one program: nothing to compare with
  REQUIRE(id.ok());
  rig.WatchToEnd(*id);
  CHECK(rig.store->ListComparisons("", "", {}, 9)->empty());
  const int64_t record = rig.store->QueryRecords({})->at(0).id;
  const auto devices = v1::DeviceService::NewStub(rig.channel);
  const auto compare = [&](int64_t of, v1::Comparison& reply) {
    grpc::ClientContext context;
    v1::CompareWithItselfRequest request;
    request.set_record_id(of);
    return proto::FromRpc(devices->CompareWithItself(&context, request, &reply));
  };
  v1::Comparison reply;
  const absl::Status status = compare(record, reply);
  INFO(status);
  REQUIRE(status.ok());
  CHECK(reply.purpose() == v1::COMPARISON_PURPOSE_SAME);
  CHECK(reply.ratio() == Approx(1.01));
  REQUIRE(reply.programs_size() == 2);
  CHECK(reply.programs(1).record_id() == record);
  CHECK(reply.programs(1).sample_seconds_size() == 20);
  const auto stored = *rig.store->ListComparisons("", "", {}, 9);
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].id == reply.id());
  CHECK(stored[0].job_id == 0);
  CHECK(reply.created_micros() == absl::ToUnixMicros(stored[0].created));
  CHECK(reply.created_micros() > 0);

  for (const int64_t none : {int64_t{0}, int64_t{-7}, record + 1}) {
    CHECK(absl::IsNotFound(compare(none, reply)));
  }
  worker.Disconnect();
  CHECK(Eventually([&] { return absl::IsFailedPrecondition(compare(record, reply)); }));
}

}  // namespace
}  // namespace tessera::server
