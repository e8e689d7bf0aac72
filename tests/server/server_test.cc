#include "server/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>

#include "server/client_services.h"
#include "tests/server/rig.h"

namespace tessera::server {
namespace {

using test::FakeRun;
using test::FakeWorker;

TEST_CASE("a job runs through a worker to its end", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(40));
  INFO(id.status());
  REQUIRE(id.ok());
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_DONE);
  CHECK(end.tasks(0).trials_done() == 40);
  CHECK(end.tasks(0).best_seconds() == Approx(1e-3));
  const auto records = *rig.store->QueryRecords({.job_id = *id});
  CHECK(records.size() == 40);
  // Every result was acknowledged after it was stored.
  CHECK(Eventually([&] { return worker.Received<proto::Acknowledge>().size() >= 40 + 41; }));
}

TEST_CASE("an equal idempotency key names the same job", "[server]") {
  Rig rig;
  const auto first = rig.Create(Rig::Request(5, "nightly"));
  const auto second = rig.Create(Rig::Request(5, "nightly"));
  REQUIRE(first.ok());
  CHECK(*first == *second);
  CHECK(*rig.Create(Rig::Request(5)) != *first);
}

TEST_CASE("malformed jobs are refused with the value and change nothing", "[server]") {
  Rig rig;
  v1::CreateJobRequest request = Rig::Request(5);
  request.mutable_tasks(0)->set_workload("stage x");
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(5);
  request.mutable_tasks(0)->set_workload_hash("0000000000000000");
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(5);
  request.mutable_tasks(0)->set_target("z80");
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(5);
  request.mutable_options()->set_explorer("tarot");
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(5);
  request.mutable_options()->set_cost_model("tarot");
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(5);
  request.mutable_tasks(0)->set_threads(3);
  CHECK(absl::IsInvalidArgument(rig.Create(request).status()));
  request = Rig::Request(0);
  CHECK(rig.Create(request).status().message() ==
        "options trials_per_task: 0 is outside 1 to 10000000");
  CHECK(rig.store->ListJobs(10)->empty());
}

TEST_CASE("a worker that dies with a lease does not stop the job", "[server]") {
  Rig rig(absl::Milliseconds(500));
  std::atomic<int> plans = 0;
  FakeWorker::Script forgetful;
  forgetful.name = "forgetful";
  forgetful.run = [&](const proto::RunPlan& plan) -> std::optional<proto::RunResult> {
    if (++plans > 3) return std::nullopt;
    return FakeRun(plan);
  };
  FakeWorker first(rig.server->port(), forgetful);
  first.Connect();
  const auto id = rig.Create(Rig::Request(20));
  REQUIRE(id.ok());
  REQUIRE(Eventually([&] { return plans > 3; }));
  first.Disconnect();
  FakeWorker second(rig.server->port(), {.name = "second"});
  second.Connect();
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_DONE);
  CHECK(end.tasks(0).trials_done() == 20);
}

TEST_CASE("a restarted server goes on with the job and measures nothing twice", "[server]") {
  Rig rig;
  std::atomic<int> plans = 0;
  FakeWorker::Script slow;
  slow.run = [&](const proto::RunPlan& plan) -> std::optional<proto::RunResult> {
    ++plans;
    absl::SleepFor(absl::Milliseconds(5));
    return FakeRun(plan);
  };
  std::optional<FakeWorker> worker;
  worker.emplace(rig.server->port(), slow);
  worker->Connect();
  const auto id = rig.Create(Rig::Request(40));
  REQUIRE(id.ok());
  REQUIRE(Eventually([&] { return plans > 10; }));
  worker.reset();
  rig.StartServer();
  worker.emplace(rig.server->port(), slow);
  worker->Connect();
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_DONE);
  const auto records = *rig.store->QueryRecords({.job_id = *id});
  std::set<int64_t> trials;
  for (const db::Record& record : records) {
    if (!record.stale) CHECK(trials.insert(record.trial).second);
  }
  CHECK(trials.size() == 40);
}

TEST_CASE("a job without a device names what it waits for", "[server]") {
  Rig rig;
  const auto id = rig.Create(Rig::Request(5));
  REQUIRE(id.ok());
  const auto message_becomes = [&](const std::string& expected) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::WatchJobRequest request;
    request.set_job_id(*id);
    auto reader = rig.jobs->WatchJob(&context, request);
    v1::JobProgress progress;
    while (reader->Read(&progress)) {
      if (progress.message() != expected) continue;
      CHECK(progress.remaining_seconds() < 0);
      context.TryCancel();
      return true;
    }
    return false;
  };
  const std::string no_runner = "waits: no connected device takes x86/avx512 with 1 thread; ";
  CHECK(
      message_becomes(no_runner + "start one: `tessera worker` on a machine that has x86/avx512"));
  {
    FakeWorker worker(rig.server->port(), {.build_slots = 0});
    worker.Connect();
    const std::string no_builder =
        "waits: no connected device builds; start one: `tessera worker --roles builder --name "
        "builder`";
    CHECK(message_becomes(no_builder));
    // Jobs say it when they are listed, too.
    grpc::ClientContext context, other;
    v1::ListJobsReply listed;
    REQUIRE(rig.jobs->ListJobs(&context, {}, &listed).ok());
    CHECK(listed.jobs(0).message() == no_builder);
    v1::GetJobRequest request;
    request.set_job_id(*id);
    v1::Job job;
    REQUIRE(rig.jobs->GetJob(&other, request, &job).ok());
    CHECK(job.message() == no_builder);
  }
  CHECK(message_becomes(no_runner + "fake/cpu is offline: start its worker again"));
}

TEST_CASE("a job is found by its idempotency key", "[server]") {
  Rig rig;
  const auto find = [&](const std::string& key, v1::Job& job) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_idempotency_key(key);
    return rig.jobs->GetJob(&context, request, &job).error_code();
  };
  const v1::CreateJobRequest request = Rig::Request(5, "nightly");
  const auto id = rig.Create(request);
  REQUIRE(id.ok());
  v1::Job job;
  REQUIRE(find("nightly", job) == grpc::StatusCode::OK);
  CHECK(job.id() == *id);
  CHECK(job.tasks_size() == request.tasks_size());
  CHECK(find("night", job) == grpc::StatusCode::NOT_FOUND);
  CHECK(find("night\n", job) == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("a job whose device class can't run its target is refused", "[server]") {
  Rig rig;
  v1::CreateJobRequest request = Rig::Request(5);
  request.mutable_options()->set_device_class("x86/fake");
  request.mutable_tasks(0)->set_target("aarch64/neon");
  // As long as no device of the class is known, one may come.
  CHECK(rig.Create(request).ok());
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  const auto devices = v1::DeviceService::NewStub(rig.channel);
  CHECK(Eventually([&] {
    grpc::ClientContext context;
    v1::ListDevicesReply reply;
    return devices->ListDevices(&context, {}, &reply).ok() && reply.devices_size() == 1;
  }));
  const absl::Status refused = rig.Create(request).status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(
      std::string(refused.message()),
      Catch::StartsWith("device class x86/fake can't run aarch64/neon with 1 thread, of task "
                        "rows: its devices are x86/avx512 ") &&
          Catch::Contains("; name "));
  request.mutable_options()->clear_device_class();
  CHECK(rig.Create(request).ok());
  request.mutable_options()->set_device_class("x86/fake");
  request.mutable_tasks(0)->set_target("x86/avx2");
  CHECK(rig.Create(request).ok());
}

TEST_CASE("however many watch, measuring goes on", "[server]") {
  Rig rig;
  const auto id = rig.Create(Rig::Request(5));
  REQUIRE(id.ok());
  v1::WatchJobRequest request;
  request.set_job_id(*id);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobProgress>>> watches;
  v1::JobProgress progress;
  const auto watch = [&] {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.push_back(rig.jobs->WatchJob(contexts.back().get(), request));
    return watches.back()->Read(&progress);
  };
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    if (watch()) continue;
    const grpc::Status status = watches.back()->Finish();
    CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(status.error_message() ==
          "watches of jobs: 64 are under way, which is the limit; try again when one has ended");
    watches.pop_back();
    ++refused;
  }
  CHECK(refused == 300 - kMaxWatches);
  // The worker's artifacts go through, and those who watch see the end.
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  for (const auto& reader : watches) {
    while (reader->Read(&progress)) {
    }
    CHECK(reader->Finish().ok());
    CHECK(progress.state() == v1::JOB_STATE_DONE);
  }
  CHECK(Eventually([&] { return rig.WatchToEnd(*id).state() == v1::JOB_STATE_DONE; }));
}

TEST_CASE("progress says what runners did, also when the job has ended", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {.run = [](const proto::RunPlan& plan) {
                      absl::SleepFor(absl::Milliseconds(2));
                      proto::RunResult result = test::FakeRun(plan);
                      result.measurements[0].run_seconds = 0.001;
                      return std::make_optional(result);
                    }});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(20));
  REQUIRE(id.ok());
  const v1::JobProgress end = rig.WatchToEnd(*id);
  REQUIRE(end.runners_size() == 1);
  CHECK(end.runners(0).device() == "fake/cpu");
  CHECK(end.runners(0).run_seconds() == Approx(0.021));
  CHECK(end.runners(0).worker_seconds() >= 0.019);
  CHECK(end.runners(0).others_seconds() == 0);
  absl::SleepFor(absl::Milliseconds(300));  // its runner is forgotten
  const v1::JobProgress later = rig.WatchToEnd(*id);
  REQUIRE(later.runners_size() == 1);
  CHECK(later.runners(0).run_seconds() == end.runners(0).run_seconds());
}

TEST_CASE("a cancelled job ends and says so", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {.run = [](const proto::RunPlan&) {
                      return std::nullopt;  // never answers
                    }});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(40));
  REQUIRE(id.ok());
  REQUIRE(Eventually([&] { return !worker.Received<proto::RunPlan>().empty(); }));
  v1::CancelJobRequest request;
  request.set_job_id(*id);
  v1::CancelJobReply reply;
  {
    grpc::ClientContext context;
    CHECK(rig.jobs->CancelJob(&context, request, &reply).ok());
  }
  CHECK(rig.WatchToEnd(*id).state() == v1::JOB_STATE_CANCELLED);
  CHECK(Eventually([&] { return !worker.Received<proto::Cancel>().empty(); }));
  {
    grpc::ClientContext context;
    CHECK(rig.jobs->CancelJob(&context, request, &reply).error_code() ==
          grpc::StatusCode::FAILED_PRECONDITION);
  }
  request.set_job_id(4711);
  grpc::ClientContext context;
  CHECK(rig.jobs->CancelJob(&context, request, &reply).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("a trial that the infrastructure fails is tried three times in all", "[server]") {
  Rig rig;
  absl::Mutex mutex;
  std::map<int64_t, int> plans;
  FakeWorker worker(rig.server->port(), {.run = [&](const proto::RunPlan& plan) {
                      absl::MutexLock lock(&mutex);
                      ++plans[plan.lease.trial];
                      proto::RunResult result = FakeRun(plan);
                      for (db::Measurement& measurement : result.measurements) {
                        measurement = {.outcome = db::Outcome::kInfrastructure,
                                       .reason = "the disk is full"};
                      }
                      return std::make_optional(result);
                    }});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(4));
  REQUIRE(id.ok());
  const v1::JobProgress end = rig.WatchToEnd(*id);
  CHECK(end.state() == v1::JOB_STATE_FAILED);
  CHECK(end.message() ==
        "no trial succeeded for rows; last failure: gave up after 3 attempts, the last: the disk "
        "is full");
  CHECK(end.tasks(0).trials_done() == 4);
  absl::MutexLock lock(&mutex);
  CHECK(plans == std::map<int64_t, int>{{0, 3}, {1, 3}, {2, 3}, {3, 3}});
}

TEST_CASE("the log can be asked for records, bests and tasks", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  const auto id = rig.Create(Rig::Request(10));
  REQUIRE(id.ok());
  rig.WatchToEnd(*id);
  auto log = v1::LogService::NewStub(rig.channel);
  {
    grpc::ClientContext context;
    v1::RecordFilter filter;
    filter.set_job_id(*id);
    filter.set_limit(7);
    auto reader = log->QueryRecords(&context, filter);
    v1::Record record;
    int count = 0;
    while (reader->Read(&record)) ++count;
    CHECK(reader->Finish().ok());
    CHECK(count == 7);
  }
  {
    grpc::ClientContext context;
    v1::RecordFilter filter;
    filter.set_newest_first(true);
    filter.set_limit(3);
    auto reader = log->QueryRecords(&context, filter);
    v1::Record record;
    std::vector<int64_t> ids;
    while (reader->Read(&record)) ids.push_back(record.id());
    CHECK(reader->Finish().ok());
    CHECK(ids == std::vector<int64_t>{10, 9, 8});
  }
  {
    grpc::ClientContext context;
    v1::BestRequest request;
    request.set_task_key(Rig::Task().Key());
    request.set_count(3);
    v1::BestReply reply;
    CHECK(log->Best(&context, request, &reply).ok());
    CHECK(reply.records_size() == 3);
  }
  grpc::ClientContext context;
  v1::ListTasksReply reply;
  CHECK(log->ListTasks(&context, {}, &reply).ok());
  CHECK(reply.tasks_size() == 1);
}

TEST_CASE("the log comes whole in either direction, however many pages it has", "[server]") {
  Rig rig;
  constexpr int64_t kRecords = 1203;
  std::vector<db::Record> records(kRecords);
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].task_key = Rig::Task().Key();
    records[i].attempt_key = absl::StrCat(i);
    records[i].measurement.outcome = db::Outcome::kTimeout;
  }
  REQUIRE(rig.store->Append(records, {}).ok());
  auto log = v1::LogService::NewStub(rig.channel);
  for (const bool newest_first : {false, true}) {
    grpc::ClientContext context;
    v1::RecordFilter filter;
    filter.set_newest_first(newest_first);
    filter.set_limit(kRecords - 1);
    auto reader = log->QueryRecords(&context, filter);
    v1::Record record;
    std::vector<int64_t> ids, expected;
    while (reader->Read(&record)) ids.push_back(record.id());
    CHECK(reader->Finish().ok());
    for (int64_t i = 1; i < kRecords; ++i) {
      expected.push_back(newest_first ? kRecords + 1 - i : i);
    }
    CHECK(ids == expected);
  }
}

TEST_CASE("a library is selected from the best records and built by a builder", "[server]") {
  Rig rig;
  FakeWorker* self = nullptr;
  FakeWorker::Script script;
  std::atomic<int> builds = 0;
  script.library =
      [&](const proto::LibraryRequest& request) -> std::optional<proto::LibraryResult> {
    ++builds;
    proto::LibraryResult result{.fence = request.fence};
    for (const db::SelectionItem& item : request.selection.items) {
      const std::string bytes = absl::StrCat(item.op, " with ", item.trace);
      REQUIRE(self->Upload(Sha256Hex(bytes), bytes).ok());
      result.files.push_back(
          {item.op + ".txt", Sha256Hex(bytes), static_cast<int64_t>(bytes.size())});
    }
    if (request.static_library) result.files.push_back(result.files[0]);
    return result;
  };
  auto libraries = v1::LibraryService::NewStub(rig.channel);
  v1::CreateSelectionRequest select;
  select.set_name("ops");
  for (int columns : {8, 16}) {  // the second has no records
    v1::LibraryOp* op = select.add_ops();
    op->set_op(absl::StrCat("rows", columns));
    *op->mutable_task() = proto::ToProto(Rig::Task(columns));
  }
  v1::BuildLibraryRequest build;
  build.set_name("ops");
  build.set_selection_id(1);
  {
    grpc::ClientContext context;
    v1::FileChunk chunk;
    auto reader = libraries->BuildLibrary(&context, build);
    CHECK_FALSE(reader->Read(&chunk));
    CHECK(reader->Finish().error_code() == grpc::StatusCode::NOT_FOUND);
  }
  FakeWorker worker(rig.server->port(), script);
  self = &worker;
  worker.Connect();
  const auto id = rig.Create(Rig::Request(5));
  REQUIRE(id.ok());
  rig.WatchToEnd(*id);
  v1::Selection selection;
  {
    grpc::ClientContext context;
    const grpc::Status status = libraries->CreateSelection(&context, select, &selection);
    INFO(status.error_message());
    REQUIRE(status.ok());
    CHECK(selection.items(0).record_id() != 0);
    CHECK(selection.items(1).record_id() == 0);
    CHECK(selection.items(1).trace().empty());
  }
  const auto built = [&](int64_t id, const std::string& library) {
    build.set_selection_id(id);
    build.set_name(library);
    grpc::ClientContext context;
    auto reader = libraries->BuildLibrary(&context, build);
    std::map<std::string, std::string> files;
    std::string name;
    v1::FileChunk chunk;
    while (reader->Read(&chunk)) {
      if (!chunk.name().empty()) name = chunk.name();
      files[name] += chunk.data();
    }
    CHECK(reader->Finish().ok());
    return files;
  };
  const auto files = built(selection.id(), "ops");
  CHECK(files.at("rows8.txt") == "rows8 with " + selection.items(0).trace());
  CHECK(files.at("rows16.txt") == "rows16 with ");
  CHECK(builds == 1);
  // What was built is there, also of an equal selection, until it is evicted.
  v1::Selection equal;
  {
    grpc::ClientContext context;
    REQUIRE(libraries->CreateSelection(&context, select, &equal).ok());
    CHECK(equal.id() != selection.id());
  }
  CHECK(built(equal.id(), "ops") == files);
  CHECK(builds == 1);
  CHECK(built(equal.id(), "others") == files);
  CHECK(builds == 2);
  // One with a static library is another one.
  build.set_static_library(true);
  CHECK(built(equal.id(), "ops").at("rows8.txt") == files.at("rows8.txt") + files.at("rows8.txt"));
  CHECK(builds == 3);
  build.set_static_library(false);
  CHECK(built(equal.id(), "ops") == files);
  CHECK(builds == 3);
  // A file that is damaged is told of, and built again by the next call.
  std::ofstream(absl::StrCat(rig.directory.path, "/artifacts/", Sha256Hex("rows16 with "))) << "?";
  {
    grpc::ClientContext context;
    v1::FileChunk chunk;
    auto reader = libraries->BuildLibrary(&context, build);
    while (reader->Read(&chunk)) {
    }
    CHECK(reader->Finish().error_code() == grpc::StatusCode::DATA_LOSS);
  }
  CHECK(built(equal.id(), "others") == files);
  CHECK(builds == 4);
}

TEST_CASE("a selection that would take long to check is refused with the limit", "[server]") {
  Rig rig;
  auto libraries = v1::LibraryService::NewStub(rig.channel);
  v1::CreateSelectionRequest select;
  select.set_name("ops");
  for (int i = 0; i < 257; ++i) {
    v1::LibraryOp* op = select.add_ops();
    op->set_op(absl::StrCat("op", i));
    *op->mutable_task() = proto::ToProto(Rig::Task());
  }
  grpc::ClientContext context;
  v1::Selection selection;
  const grpc::Status status = libraries->CreateSelection(&context, select, &selection);
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message() ==
        "selection: 257 tasks, the limit is 256; make several selections of it");
}

TEST_CASE("devices are listed, drained and resumed", "[server]") {
  Rig rig;
  FakeWorker worker(rig.server->port(), {});
  worker.Connect();
  REQUIRE(Eventually([&] { return !worker.Received<proto::Welcome>().empty(); }));
  auto devices = v1::DeviceService::NewStub(rig.channel);
  const auto state = [&] {
    grpc::ClientContext context;
    v1::ListDevicesReply reply;
    REQUIRE(devices->ListDevices(&context, {}, &reply).ok());
    REQUIRE(reply.devices_size() == 1);
    return reply.devices(0).state();
  };
  CHECK(state() == "online");
  v1::DrainRequest drain;
  drain.set_device("fake/cpu");
  v1::DrainReply drained;
  grpc::ClientContext drain_context;
  CHECK(devices->Drain(&drain_context, drain, &drained).ok());
  CHECK(state() == "draining");
  v1::ResumeRequest resume;
  resume.set_device("fake/cpu");
  v1::ResumeReply resumed;
  grpc::ClientContext resume_context;
  CHECK(devices->Resume(&resume_context, resume, &resumed).ok());
  CHECK(state() == "online");
  worker.Disconnect();
  CHECK(Eventually([&] { return state() == "offline"; }));
}

}  // namespace
}  // namespace tessera::server
