#pragma once

// What every Store does. A test program includes this once and defines MakeStore.

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "tests/db/record/store_fixture.h"
#include "tests/db/record/store_models_conformance.h"
#include "tests/db/record/store_selections_conformance.h"

namespace tessera::db {
namespace conformance {

TEST_CASE("a job comes back as it was created", "[db]") {
  Fixture f;
  Job job = SampleJob("resnet", {SampleTask("C2"), SampleTask("C3", 2), SampleTask("C2")});
  const absl::StatusOr<int64_t> id = f.store->CreateJob(job);
  REQUIRE(id.ok());
  job.id = *id;
  job.created = job.updated = absl::FromUnixMicros(1'600'000'000'000'001);
  const absl::StatusOr<Job> read = f.store->GetJob(*id);
  REQUIRE(read.ok());
  CHECK(*read == job);
}

TEST_CASE("the best are found by their devices' paces, with which records come back", "[db]") {
  Fixture f;
  const std::string task(64, 't');
  std::vector<Record> records = {SampleRecord(task, "1", 1.0e-3), SampleRecord(task, "2", 1.1e-3),
                                 SampleRecord(task, "3", 1.3e-3), SampleRecord(task, "4", 0.9e-3)};
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].device = i == 1 ? "slow" : i == 3 ? "elsewhere" : "fast";
  }
  REQUIRE(f.store->Append(records, {}).ok());
  const auto best = [&](int count) {
    std::vector<int64_t> ids;
    const std::vector<Record> records = f.store->Best(task, "x86/test/2c", count).value();
    for (const Record& record : records) ids.push_back(record.id);
    return ids;
  };
  CHECK(best(9) == std::vector<int64_t>{4, 1, 2, 3});
  Device slow, elsewhere;
  slow.id = "slow";
  slow.device_class.name = "x86/test/2c";
  slow.pace = {1.25, 4};
  elsewhere.id = "elsewhere";
  elsewhere.device_class.name = "another class";
  elsewhere.pace = {0.5, 4};
  REQUIRE(f.store->PutDevice(slow).ok());
  REQUIRE(f.store->PutDevice(elsewhere).ok());
  CHECK((*f.store->ListDevices())[1].pace == slow.pace);
  CHECK(best(9) == std::vector<int64_t>{2, 4, 1, 3});
  CHECK(best(1) == std::vector<int64_t>{2});
  CHECK(f.store->Best(task, "", 1)->at(0).id == 2);
  const std::vector<Record> read = *f.store->QueryRecords({});
  CHECK(read.at(0).pace == 1);
  CHECK(read.at(1).pace == 1.25);
  CHECK(read.at(1).CostSeconds() == Approx(0.88e-3));
  CHECK(read.at(1).measurement.CostSeconds() == 1.1e-3);
  CHECK(read.at(3).pace == 1);  // it was of another class
  slow.pace.ratio = 0;
  CHECK(absl::IsInvalidArgument(f.store->PutDevice(slow)));
}

TEST_CASE("an equal idempotency key returns the same job", "[db]") {
  Fixture f;
  Job job = SampleJob("first");
  job.options.idempotency_key = "ci-4711";
  const int64_t id = f.store->CreateJob(job).value();
  job.name = "second";
  CHECK(f.store->CreateJob(job).value() == id);
  CHECK(f.store->GetJob(id)->name == "first");
  CHECK(f.store->FindJob("ci-4711").value() == f.store->GetJob(id).value());
  CHECK(f.store->FindJob("ci-4712").status() == absl::NotFoundError("no job has key \"ci-4712\""));
  CHECK(f.CreateJob() != id);
  CHECK(f.CreateJob() != f.CreateJob());
  CHECK(absl::IsNotFound(f.store->FindJob("").status()));  // not one of those without a key
}

TEST_CASE("a job's state, message and time of change are set", "[db]") {
  Fixture f;
  const int64_t id = f.CreateJob();
  f.clock.Advance(absl::Seconds(3));
  REQUIRE(f.store->SetJobState(id, JobState::kFailed, "no device").ok());
  const Job job = f.store->GetJob(id).value();
  CHECK(job.state == JobState::kFailed);
  CHECK(job.message == "no device");
  CHECK(job.updated - job.created == absl::Seconds(3));
}

TEST_CASE("jobs are listed newest first, at most as many as asked", "[db]") {
  Fixture f;
  const int64_t first = f.CreateJob("a");
  const int64_t second = f.CreateJob("b");
  const std::vector<Job> jobs = f.store->ListJobs(10).value();
  REQUIRE(jobs.size() == 2);
  CHECK(jobs[0] == f.store->GetJob(second).value());
  CHECK(jobs[1] == f.store->GetJob(first).value());
  CHECK(f.store->ListJobs(1)->size() == 1);
  CHECK(f.store->ListJobs(0)->empty());
  CHECK(f.store->ListJobs(-1)->empty());
}

TEST_CASE("ids that don't exist are not found", "[db]") {
  Fixture f;
  for (int64_t id : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{99}}) {
    CAPTURE(id);
    CHECK(absl::IsNotFound(f.store->GetJob(id).status()));
    CHECK(absl::IsNotFound(f.store->SetJobState(id, JobState::kDone, "")));
    CHECK(absl::IsNotFound(f.store->ReadEvents(id, 0).status()));
    CHECK(absl::IsNotFound(f.store->GetSelection(id).status()));
  }
  CHECK(absl::IsNotFound(f.store->GetBlob(Sha256Hex("nothing")).status()));
  CHECK(absl::IsNotFound(f.store->GetBlob("").status()));
}

TEST_CASE("a record comes back as it was appended", "[db]") {
  Fixture f;
  Record ok = SampleRecord("task", "1/0/0/1", 1.0 / 3);
  ok.job_id = f.CreateJob();
  Record failed = FailedRecord("task", "1/1/0/1", Outcome::kRunError);
  failed.stale = true;
  ok.id = f.Append({ok}).at(0);
  failed.id = f.Append({failed}).at(0);
  CHECK(ok.id < failed.id);
  CHECK(f.Query() == std::vector<Record>{ok, failed});
}

TEST_CASE("a record is found by its id, and as one of its task only", "[db]") {
  Fixture f;
  const Ids ids = f.Append({SampleRecord("task", "1/0/0/1"), SampleRecord("other", "1/1/0/1")});
  CHECK(GetRecord(*f.store, ids[1])->attempt_key == "1/1/0/1");
  CHECK(GetRecord(*f.store, ids[1], "other")->id == ids[1]);
  CHECK(GetRecord(*f.store, ids[1], "task").status() == NoSuch("record", ids[1]));
  for (const int64_t id : {INT64_MIN, int64_t{0}, ids[1] + 1, INT64_MAX}) {
    CHECK(GetRecord(*f.store, id).status() == NoSuch("record", id));
  }
}

TEST_CASE("text with every kind of byte survives", "[db]") {
  Fixture f;
  Record record = SampleRecord("task", "attempt");
  record.measurement.reason = std::string("a\0b'\"\n\r\xff\xf0\x9f", 11);
  f.Append({record});
  CHECK(f.Query().at(0).measurement.reason == record.measurement.reason);
}

TEST_CASE("every outcome survives", "[db]") {
  Fixture f;
  for (int i = 0; i <= static_cast<int>(Outcome::kCancelled); ++i) {
    const auto outcome = static_cast<Outcome>(i);
    const std::string attempt = absl::StrCat(i);
    f.Append({outcome == Outcome::kOk ? SampleRecord("t", attempt)
                                      : FailedRecord("t", attempt, outcome)});
    CHECK(f.Query().back().measurement.outcome == outcome);
  }
}

TEST_CASE("a record without a time is stamped by the store", "[db]") {
  Fixture f;
  Record record = SampleRecord("task", "attempt");
  record.created = absl::Time();
  f.Append({record});
  CHECK(f.Query().at(0).created == f.clock.Now());
}

TEST_CASE("an attempt that is stored is not appended again", "[db]") {
  Fixture f;
  const Ids first = f.Append({SampleRecord("task", "a"), SampleRecord("task", "b")});
  const Record changed = SampleRecord("other", "b", 5.0);
  const Ids again = f.Append({SampleRecord("task", "c"), changed, SampleRecord("task", "c")});
  REQUIRE(again.size() == 3);
  CHECK(again[1] == first[1]);
  CHECK(again[2] == again[0]);
  const std::vector<Record> records = f.Query();
  REQUIRE(records.size() == 3);
  CHECK(records[1].task_key == "task");
}

TEST_CASE("an event comes back as it was appended", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob();
  const Record failed = FailedRecord("task", "x", Outcome::kTimeout);
  std::vector<Event> events = {ProposedEvent(job, 1), ResultEvent(job, 2, failed)};
  Event model;
  model.job_id = job;
  model.sequence = 3;
  model.kind = EventKind::kModelReady;
  model.model = Sha256Hex("model");
  model.through_sequence = 2;
  events.push_back(model);
  for (EventKind kind : {EventKind::kLeaseLost, EventKind::kTaskDone, EventKind::kCancel,
                         EventKind::kCompared, EventKind::kPaced}) {
    Event event;
    event.job_id = job;
    event.sequence = static_cast<int64_t>(events.size()) + 1;
    event.kind = kind;
    if (kind == EventKind::kTaskDone) event.reason = "no more programs";
    if (kind == EventKind::kPaced) event.device = "host/cpu", event.pace = 1.0625;
    events.push_back(event);
  }
  events[1].record_id = events[6].record_id = f.Append({failed}).at(0);
  f.Append({}, events);
  CHECK(f.store->ReadEvents(job, 0).value() == events);
  CHECK(std::isinf(f.store->ReadEvents(job, 1)->at(0).cost_seconds));
  CHECK(f.store->ReadEvents(job, 7)->size() == 1);
  CHECK(f.store->ReadEvents(job, 8)->empty());
  CHECK(f.store->ReadEvents(job, 1000)->empty());
  CHECK(f.store->ReadEvents(job, -5)->size() == 8);
  events[7].sequence = 9;
  events[7].pace = 0;
  CHECK(absl::IsInvalidArgument(f.store->Append({}, {events[7]}).status()));
}

TEST_CASE("a trial's proposal is found by its number", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob(), other = f.CreateJob();
  Event second = ProposedEvent(job, 2), third = ProposedEvent(job, 3);
  second.trial = 40;
  third.trial = 30;
  third.trace = "split i 16";
  Event lost = ProposedEvent(job, 4);
  lost.kind = EventKind::kLeaseLost;
  lost.trial = 50;
  Event elsewhere = ProposedEvent(other, 1);
  elsewhere.trial = 30;
  f.Append({}, {ProposedEvent(job, 1), second, third, lost, elsewhere});
  CHECK(f.store->FindProposal(job, 30).value() == third);
  CHECK(f.store->FindProposal(job, 40).value() == second);
  CHECK(f.store->FindProposal(other, 30).value() == elsewhere);
  for (const int64_t trial : {50, 0, -1}) {
    CAPTURE(trial);
    CHECK(absl::IsNotFound(f.store->FindProposal(job, trial).status()));
  }
  CHECK(absl::IsNotFound(f.store->FindProposal(4711, 30).status()));
}

TEST_CASE("a result without record id refers to the record at its place", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob();
  const Record a = SampleRecord("task", "a"), b = SampleRecord("task", "b");
  const int64_t a_id = f.Append({a}).at(0);
  const Ids ids = f.Append({b, a}, {ResultEvent(job, 1, b), ResultEvent(job, 2, a)});
  CHECK(ids[1] == a_id);
  const std::vector<Event> events = f.store->ReadEvents(job, 0).value();
  REQUIRE(events.size() == 2);
  CHECK(events[0].record_id == ids[0]);
  CHECK(events[1].record_id == a_id);
}

TEST_CASE("events that do not continue their log are refused with all that came along", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob(), other = f.CreateJob();
  f.Append({}, {ProposedEvent(job, 1), ProposedEvent(other, 1), ProposedEvent(job, 2)});
  const std::vector<Record> record = {SampleRecord("task", "a")};
  using E = std::vector<Event>;
  for (const E& events : {E{ProposedEvent(job, 2)}, E{ProposedEvent(job, 4)},
                          E{ProposedEvent(job, 3), ProposedEvent(job, 5)},
                          E{ProposedEvent(job, 3), ProposedEvent(job, 3)},
                          E{ProposedEvent(job, 3), ProposedEvent(other, 3)},
                          E{ProposedEvent(job, 0)}, E{ProposedEvent(job, -1)}}) {
    CHECK(f.AppendCode(record, events) == absl::StatusCode::kFailedPrecondition);
  }
  CHECK(f.Query().empty());
  CHECK(f.store->ReadEvents(job, 0)->size() == 2);
  CHECK(f.store->ReadEvents(other, 0)->size() == 1);
  f.Append(record, {ProposedEvent(job, 3)});
}

TEST_CASE("an append that names what does not exist changes nothing", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob();
  Record orphan = SampleRecord("task", "orphan");
  orphan.job_id = job + 1;
  const Record good = SampleRecord("task", "good");
  Event dangling = ResultEvent(job, 1, good);
  dangling.record_id = 12345;
  CHECK(f.AppendCode({good, orphan}) == absl::StatusCode::kNotFound);
  CHECK(f.AppendCode({good}, {ProposedEvent(job + 1, 1)}) == absl::StatusCode::kNotFound);
  CHECK(f.AppendCode({good}, {dangling}) == absl::StatusCode::kNotFound);
  CHECK(f.Query().empty());
  CHECK(f.store->ReadEvents(job, 0)->empty());
}

TEST_CASE("values that could not be stored exactly are refused", "[db]") {
  Fixture f;
  const int64_t job = f.CreateJob();
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  auto refused = [&](auto change) {
    Record record = SampleRecord("task", "a");
    change(record);
    return f.AppendCode({record}) == absl::StatusCode::kInvalidArgument;
  };
  CHECK(refused([](Record& r) { r.attempt_key.clear(); }));
  CHECK(refused([](Record& r) { r.task_key.clear(); }));
  CHECK(refused([](Record& r) {
    r.measurement.sample_seconds.clear();
    r.measurement.sample_calls.clear();
  }));
  CHECK(refused([](Record& r) { r.measurement.sample_calls.pop_back(); }));
  for (double bad : {nan, infinity, 0.0, -1.0}) {
    CHECK(refused([&](Record& r) { r.measurement.sample_seconds[1] = bad; }));
  }
  for (double bad : {nan, infinity}) {
    CHECK(refused([&](Record& r) { r.measurement.build_seconds = bad; }));
    CHECK(refused([&](Record& r) { r.measurement.run_seconds = bad; }));
    CHECK(refused([&](Record& r) { r.measurement.environment.cpu_mhz = bad; }));
    CHECK(refused([&](Record& r) { r.measurement.environment.load_average = bad; }));
    CHECK(refused([&](Record& r) { r.measurement.environment.temperature_celsius = bad; }));
    CHECK(refused([&](Record& r) { r.measurement.environment.reference_gflops = bad; }));
  }
  Event event = ProposedEvent(job, 1);
  event.cost_seconds = nan;
  CHECK(f.AppendCode({}, {event}) == absl::StatusCode::kInvalidArgument);
  CHECK(f.AppendCode({}, {ProposedEvent(0, 1)}) == absl::StatusCode::kInvalidArgument);
  CHECK(f.AppendCode({}, {ResultEvent(job, 1, SampleRecord("t", "a"))}) ==
        absl::StatusCode::kInvalidArgument);
  Job endless = SampleJob("endless");
  endless.options.max_seconds = nan;
  CHECK(absl::IsInvalidArgument(f.store->CreateJob(endless).status()));
  CHECK(absl::IsInvalidArgument(f.store->PutDevice(Device())));
  CHECK(absl::IsInvalidArgument(
      f.store->PutBlob(std::string(static_cast<size_t>(kMaxBlobBytes) + 1, 'x')).status()));
  CHECK(f.Query().empty());
}

TEST_CASE("records are filtered by each field and by all together", "[db]") {
  Fixture f;
  const Task c2 = SampleTask("C2"), conv3 = SampleTask("conv3");
  REQUIRE(f.store->CreateJob(SampleJob("tasks", {c2, conv3})).ok());
  const int64_t job = f.CreateJob();
  Record a = SampleRecord(c2.Key(), "a"), b = SampleRecord(conv3.Key(), "b"),
         c = FailedRecord(c2.Key(), "c", Outcome::kTimeout), d = SampleRecord("unknown task", "d");
  a.job_id = c.job_id = job;
  b.device_class = "arm";
  const Ids ids = f.Append({a, b, c, d});
  auto query = [&](auto change) {
    RecordFilter filter;
    change(filter);
    return IdsOf(f.Query(filter));
  };
  CHECK(query([](RecordFilter&) {}) == ids);
  CHECK(query([&](RecordFilter& q) { q.task_key = c2.Key(); }) == Ids{ids[0], ids[2]});
  CHECK(query([&](RecordFilter& q) { q.workload_hash = conv3.workload_hash; }) == Ids{ids[1]});
  CHECK(query([](RecordFilter& q) { q.workload_hash = "none"; }).empty());
  CHECK(query([](RecordFilter& q) { q.device_class = "arm"; }) == Ids{ids[1]});
  CHECK(query([&](RecordFilter& q) { q.job_id = job; }) == Ids{ids[0], ids[2]});
  CHECK(query([](RecordFilter& q) { q.outcomes = {Outcome::kTimeout}; }) == Ids{ids[2]});
  CHECK(query([](RecordFilter& q) {
          q.outcomes = {Outcome::kTimeout, Outcome::kOk, Outcome::kTimeout};
        }) == ids);
  CHECK(query([&](RecordFilter& q) { q.after_id = ids[1]; }) == Ids{ids[2], ids[3]});
  CHECK(query([](RecordFilter& q) { q.limit = 2; }) == Ids{ids[0], ids[1]});
  CHECK(query([](RecordFilter& q) { q.newest_first = true; }) ==
        Ids{ids[3], ids[2], ids[1], ids[0]});
  CHECK(query([&](RecordFilter& q) {
          q.newest_first = true;
          q.before_id = ids[3];
          q.limit = 2;
        }) == Ids{ids[2], ids[1]});
  CHECK(query([&](RecordFilter& q) { q.before_id = ids[2]; }) == Ids{ids[0], ids[1]});
  CHECK(query([&](RecordFilter& q) {
          q.newest_first = true;
          q.before_id = ids[2];
          q.after_id = ids[2];
        }).empty());
  CHECK(query([](RecordFilter& q) { q.limit = 0; }).empty());
  CHECK(query([](RecordFilter& q) { q.limit = -3; }).empty());
  CHECK(query([&](RecordFilter& q) {
          q.task_key = c2.Key();
          q.workload_hash = c2.workload_hash;
          q.device_class = a.device_class;
          q.job_id = job;
          q.outcomes = {Outcome::kOk};
          q.limit = 1;
        }) == Ids{ids[0]});
}

TEST_CASE("best is fastest first, by the minimum of the samples", "[db]") {
  Fixture f;
  f.Append({SampleRecord("t", "slow", 3), SampleRecord("t", "fast", 1),
            SampleRecord("t", "middle", 2), SampleRecord("other", "foreign", 0.1)});
  CHECK(f.BestAttempts("t", "x86/test/2c", 10) == Attempts{"fast", "middle", "slow"});
  CHECK(f.BestAttempts("t", "x86/test/2c", 2) == Attempts{"fast", "middle"});
  CHECK(f.BestAttempts("t", "x86/test/2c", 0).empty());
  CHECK(f.BestAttempts("t", "x86/test/2c", -1).empty());
  CHECK(f.BestAttempts("nobody", "x86/test/2c", 5).empty());
}

TEST_CASE("best ignores failed trials and stale ones", "[db]") {
  Fixture f;
  Record stale = SampleRecord("t", "stale", 0.1);
  stale.stale = true;
  Record wrong = SampleRecord("t", "wrong", 0.2);
  wrong.measurement.outcome = Outcome::kWrongAnswer;
  f.Append(
      {stale, wrong, FailedRecord("t", "crash", Outcome::kRunError), SampleRecord("t", "good", 1)});
  CHECK(f.BestAttempts("t", "x86/test/2c", 10) == Attempts{"good"});
  CHECK(f.BestAttempts("t", "", 10) == Attempts{"good"});
}

TEST_CASE("best passes over what calls libraries that are not allowed", "[db]") {
  Fixture f;
  Record called = SampleRecord("t", "called", 1);
  called.trace = "trace 1\nparallel matmul m\nexternal matmul openblas\n";
  Record unknown = SampleRecord("t", "unknown", 0.5);
  unknown.trace = "trace 1\n external  matmul blis \n";
  Record loops = SampleRecord("t", "loops", 2);
  loops.trace = "trace 1\nlayout external 0 1\nunroll external openblas\n";
  f.Append({called, unknown, loops});
  const auto traces = [&](std::string_view device_class, int count, std::string_view allowed) {
    std::vector<std::string> found;
    const auto best = f.store->Best("t", device_class, count, allowed);
    REQUIRE(best.ok());
    for (const Record& record : *best) {
      found.push_back(record.trace);
    }
    return found;
  };
  using Traces = std::vector<std::string>;
  for (const char* device_class : {"x86/test/2c", ""}) {
    CHECK(traces(device_class, 1, "") == Traces{loops.trace});
    CHECK(traces(device_class, 1, "openblas") == Traces{called.trace});
    CHECK(traces(device_class, 9, "openblas") == Traces{called.trace, loops.trace});
    CHECK(traces(device_class, 9, "blis") == Traces{unknown.trace, loops.trace});
  }
}

TEST_CASE("best keeps device classes apart unless none is named", "[db]") {
  Fixture f;
  Record arm = SampleRecord("t", "arm", 0.5);
  arm.device_class = "arm/test/4c";
  f.Append({SampleRecord("t", "x86", 1), arm});
  CHECK(f.BestAttempts("t", "x86/test/2c", 10) == Attempts{"x86"});
  CHECK(f.BestAttempts("t", "arm/test/4c", 10) == Attempts{"arm"});
  CHECK(f.BestAttempts("t", "", 10) == Attempts{"arm", "x86"});
}

TEST_CASE("the log knows its device classes, and those that have a best", "[db]") {
  using Names = std::vector<std::string>;
  Fixture f;
  CHECK(f.store->ListDeviceClasses().value().empty());
  CHECK(f.store->ListRankedDeviceClasses("t").value().empty());
  REQUIRE(f.store->PutDevice(SampleDevice("host/cpu")).ok());
  CHECK(f.store->ListDeviceClasses().value().empty());
  const auto on = [](const char* device_class, Record record) {
    record.device_class = device_class;
    return record;
  };
  Record stale = on("d", SampleRecord("t", "stale"));
  stale.stale = true;
  f.Append({on("c", SampleRecord("t", "1")), on("a", SampleRecord("t", "2")),
            on("b", FailedRecord("t", "3", Outcome::kRunError)), on("c", SampleRecord("t", "4")),
            stale, on("e", SampleRecord("other", "6"))});
  CHECK(f.store->ListDeviceClasses().value() == Names{"a", "b", "c", "d", "e"});
  CHECK(f.store->ListRankedDeviceClasses("t").value() == Names{"a", "c"});
  CHECK(f.store->ListRankedDeviceClasses("other").value() == Names{"e"});
  CHECK(f.store->ListRankedDeviceClasses("nobody").value().empty());
}

TEST_CASE("best gives each trace once and the older of equals first", "[db]") {
  Fixture f;
  Record again = SampleRecord("t", "again", 1);
  again.trace = SampleRecord("t", "first").trace;
  f.Append({SampleRecord("t", "first", 2), again, SampleRecord("t", "tie b", 3),
            SampleRecord("t", "tie a", 3)});
  CHECK(f.BestAttempts("t", "x86/test/2c", 10) == Attempts{"again", "tie b", "tie a"});
}

TEST_CASE("tasks are listed once, in the order of first naming", "[db]") {
  Fixture f;
  Task renamed = SampleTask("C2");
  renamed.name = "C2 again";
  REQUIRE(f.store->CreateJob(SampleJob("a", {SampleTask("C2"), SampleTask("conv3")})).ok());
  REQUIRE(f.store->CreateJob(SampleJob("b", {SampleTask("C2", 2), renamed})).ok());
  std::vector<Task> expected = {SampleTask("C2"), SampleTask("conv3"), SampleTask("C2", 2)};
  for (Task& task : expected) task.weight = 1;
  CHECK(f.store->ListTasks().value() == expected);
  CHECK(f.store->GetJob(2)->tasks.at(1).name == "C2 again");
}

TEST_CASE("a device is replaced by its id and devices are listed by id", "[db]") {
  Fixture f;
  const Device a = SampleDevice("a/cpu");
  Device b = SampleDevice("b/cpu");
  REQUIRE(f.store->PutDevice(b).ok());
  REQUIRE(f.store->PutDevice(a).ok());
  b.runs = false;
  b.builds = true;
  b.state = "quarantined";
  REQUIRE(f.store->PutDevice(b).ok());
  CHECK(f.store->ListDevices().value() == std::vector<Device>{a, b});
}

TEST_CASE("a blob is found by its digest and stored once", "[db]") {
  Fixture f;
  const std::string model("tree\0\xff", 6);
  CHECK(f.store->PutBlob(model).value() == Sha256Hex(model));
  CHECK(f.store->PutBlob(model).value() == Sha256Hex(model));
  CHECK(f.store->GetBlob(Sha256Hex(model)).value() == model);
  const std::string empty = f.store->PutBlob("").value();
  CHECK(f.store->GetBlob(empty).value().empty());
}

TEST_CASE("a dropped blob is gone, the others are not, and it can be stored again", "[db]") {
  Fixture f;
  const std::string old = f.store->PutBlob("an old model").value();
  const std::string current = f.store->PutBlob("a model").value();
  REQUIRE(f.store->DropBlob(old).ok());
  CHECK(absl::IsNotFound(f.store->GetBlob(old).status()));
  CHECK(f.store->GetBlob(current).value() == "a model");
  CHECK(f.store->DropBlob(old).ok());
  CHECK(f.store->PutBlob("an old model").value() == old);
  CHECK(f.store->GetBlob(old).value() == "an old model");
}

TEST_CASE("concurrent appends and reads lose and mix up nothing", "[db]") {
  Fixture f;
  constexpr int kThreads = 6, kAppends = 30;
  std::vector<int64_t> jobs;
  for (int t = 0; t < kThreads; ++t) jobs.push_back(f.CreateJob());
  std::vector<Ids> acknowledged(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kAppends; ++i) {
        const Record record = SampleRecord("t", absl::StrCat(t, "/", i), t + i + 1);
        // Every third append is refused, in the company of others' that are not.
        const int64_t sequence = i % 3 == 2 ? 1000 : i - i / 3 + 1;
        auto ids = f.store->Append({record}, {ResultEvent(jobs[t], sequence, record)});
        if (ids.ok()) acknowledged[t].push_back(ids->at(0));
        (void)f.store->Best("t", "", 3);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int64_t> all;
  for (int t = 0; t < kThreads; ++t) {
    CHECK(acknowledged[t].size() == kAppends - kAppends / 3);
    const std::vector<Event> events = f.store->ReadEvents(jobs[t], 0).value();
    Ids in_events;
    for (const Event& event : events) in_events.push_back(event.record_id);
    CHECK(in_events == acknowledged[t]);
    all.insert(acknowledged[t].begin(), acknowledged[t].end());
  }
  const Ids stored = IdsOf(f.Query());
  CHECK(std::set<int64_t>(stored.begin(), stored.end()) == all);
}

}  // namespace conformance
}  // namespace tessera::db
