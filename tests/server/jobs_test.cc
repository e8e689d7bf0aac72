#include "server/jobs.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "base/version.h"
#include "server/tasks.h"
#include "tests/server/jobs_fixture.h"
#include "tuner/config_search_space.h"
#include "tuner/model_store.h"
#include "tuner/prior_store.h"

namespace tessera::server {
namespace {

TEST_CASE("a new job's spaces are made once", "[server]") {
  JobsFixture f;
  const auto id = f.jobs->Create(JobsFixture::Job({Rig::Task(8), Rig::Task(16)}));
  REQUIRE(id.ok());
  CHECK(f.spaces == 2);
  CHECK(f.memory->GetJob(*id)->state == db::JobState::kRunning);
}

TEST_CASE("a job's spaces are made by its pins, also when it is continued", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job();
  job.options.pins = R"({"sketch":["direct"]})";
  job.options.allow = "openblas";
  const auto id = f.jobs->Create(job);
  INFO(id.status());
  REQUIRE(id.ok());
  CHECK(f.last_pins == job.options.pins);
  CHECK(f.last_allowed == "openblas");
  CHECK(f.memory->GetJob(*id)->options.pins == job.options.pins);
  f.last_pins.clear();
  job.options.pins = R"({"tile.lanes":[16]})";
  REQUIRE(f.memory->CreateJob(job).ok());  // by a server that ended before it could run it
  REQUIRE(f.jobs->ResumeUnfinished().ok());
  CHECK(f.last_pins == job.options.pins);
}

TEST_CASE("a job whose pins don't fit is refused and not stored", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job();
  job.options.pins = "unknown";
  CHECK(f.jobs->Create(job).status().message() == "task t: pins: no such knob");
  CHECK(f.memory->ListJobs(10)->empty());
}

TEST_CASE("an idempotency key finds the job that it was stored with", "[server]") {
  JobsFixture f;
  // Stored by a server that ended before it could run it.
  const int64_t id = *f.memory->CreateJob(JobsFixture::Job({Rig::Task(8), Rig::Task(16)}, "key"));
  CHECK(*f.jobs->Create(JobsFixture::Job({Rig::Task(8), Rig::Task(16)}, "key")) == id);
  CHECK(f.jobs->Progress(id)->tasks.size() == 2);
  CHECK(f.memory->GetJob(id)->state == db::JobState::kRunning);
}

// Measured by an earlier job, on devices of class "fake".
db::Record Measured(const db::Task& task, int64_t job, int64_t trial) {
  const test::SyntheticSpace space(1);
  Rng rng(static_cast<uint64_t>(trial));
  const tuner::Point point = space.Sample(rng);
  db::Record record;
  record.task_key = task.Key();
  record.job_id = job;
  record.trial = trial;
  record.attempt_key = absl::StrCat(job, "/", trial);
  record.trace = *space.Trace(point);
  record.config = space.Config(point);
  record.loop_hash = HashToHex(*space.LoopHash(point));
  record.device_class = "fake";
  record.tessera_version = std::string(Version());
  record.measurement.outcome = db::Outcome::kOk;
  record.measurement.sample_seconds = {1e-3};
  return record;
}

TEST_CASE("a job keeps what was known when it was created until it ends", "[server]") {
  JobsFixture f;
  const int64_t earlier = *f.memory->CreateJob(JobsFixture::Job());
  REQUIRE(f.memory->SetJobState(earlier, db::JobState::kDone, "").ok());
  std::vector<db::Record> records;
  for (int64_t trial = 0; trial < 3; ++trial) {
    records.push_back(Measured(Rig::Task(), earlier, trial));
  }
  REQUIRE(f.memory->Append(records, {}).ok());
  db::Job job = JobsFixture::Job({Rig::Task()}, "key");
  job.options.device_class = "fake";
  const int64_t id = f.jobs->Create(job).value();
  const std::string prior = f.memory->GetJob(id)->prior;
  REQUIRE_FALSE(prior.empty());
  CHECK(tuner::GetPrior(*f.memory, *f.memory->GetJob(id))->prior->tasks[0].known.size() == 3);

  // Continued by another server, which knows more.
  f.jobs.reset();
  REQUIRE(f.memory->Append({Measured(Rig::Task(), earlier, 3)}, {}).ok());
  f.jobs = std::make_unique<JobManager>(f.store, f.devices, f.clock, ToySearch());
  REQUIRE(f.jobs->ResumeUnfinished().ok());
  CHECK(f.memory->GetJob(id)->prior == prior);
  CHECK(*f.jobs->Create(job) == id);
  CHECK(f.memory->GetBlob(prior).ok());
  REQUIRE(f.jobs->Cancel(id).ok());
  CHECK(Eventually([&] { return absl::IsNotFound(f.memory->GetBlob(prior).status()); }));

  job.options.idempotency_key.clear();
  job.options.prior = "none";
  CHECK(f.memory->GetJob(*f.jobs->Create(job))->prior.empty());
}

TEST_CASE("a stored job keeps its prior when it can't be read back, and one that is not drops it",
          "[server]") {
  JobsFixture f;
  const int64_t earlier = *f.memory->CreateJob(JobsFixture::Job());
  REQUIRE(f.memory->SetJobState(earlier, db::JobState::kDone, "").ok());
  REQUIRE(f.memory->Append({Measured(Rig::Task(), earlier, 0)}, {}).ok());
  db::Job job = JobsFixture::Job({Rig::Task()}, "key");
  job.options.device_class = "fake";
  const absl::Status locked = absl::UnavailableError("the database is locked");

  f.store.create_trouble = locked;
  CHECK(f.jobs->Create(job).status() == locked);
  REQUIRE_FALSE(f.store.last_blob.empty());
  CHECK(absl::IsNotFound(f.memory->GetBlob(f.store.last_blob).status()));
  f.store.create_trouble = absl::OkStatus();

  f.store.get_trouble = locked;
  CHECK(f.jobs->Create(job).status() == locked);
  REQUIRE_FALSE(f.store.created_prior.empty());
  CHECK(f.memory->GetBlob(f.store.created_prior).ok());
  const int64_t id = f.jobs->Create(job).value();  // as its creator does
  CHECK(f.memory->GetJob(id)->prior == f.store.created_prior);
  CHECK(f.memory->GetBlob(f.store.created_prior).ok());
}

TEST_CASE("a job that asks for a model that is not there is not stored", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job();
  job.options.prior = "no-such";
  const absl::Status status = f.jobs->Create(job).status();
  CHECK_THAT(std::string(status.message()), Catch::StartsWith("prior no-such: "));
  CHECK(f.memory->ListJobs(10)->empty());
}

TEST_CASE("a job that asks for a model of other devices is not stored", "[server]") {
  JobsFixture f;
  db::ModelInfo model;
  model.name = "of-a-gpu";
  model.digest = f.memory->PutBlob("its bytes").value();
  model.cost_model = "xgboost";
  model.device_classes = {"opencl/a-gpu/1.0"};
  REQUIRE(f.memory->PutModel(model).ok());
  db::Job job = JobsFixture::Job();
  job.options.cost_model = std::string(tuner::kWithPrior);
  job.options.prior = model.name;
  const absl::Status status = f.jobs->Create(job).status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()),
             Catch::StartsWith("prior of-a-gpu: it was trained on opencl/a-gpu/1.0; task "));
  CHECK(f.memory->ListJobs(10)->empty());
}

TEST_CASE("a job is refused what the server can't do, naming it", "[server]") {
  JobsFixture f;
  const auto refusal = [&](auto change) {
    db::Job job = JobsFixture::Job();
    change(job.options);
    const absl::Status status = f.jobs->Create(job).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(refusal([](db::JobOptions& o) { o.scheduler = "tarot"; }) ==
        "scheduler 'tarot' is not known; choose fair, fixed or gradient");
  CHECK(f.memory->ListJobs(9)->empty());
}

TEST_CASE("an idempotency key of another job is refused", "[server]") {
  JobsFixture f;
  REQUIRE(f.jobs->Create(JobsFixture::Job({Rig::Task(8)}, "key")).ok());
  const std::string taken =
      "key key is taken by job 1, which has other tasks or options; choose another key, or "
      "`tessera watch 1`";
  CHECK(f.jobs->Create(JobsFixture::Job({Rig::Task(32)}, "key")).status() ==
        absl::AlreadyExistsError(taken));
  db::Job longer = JobsFixture::Job({Rig::Task(8)}, "key");
  longer.options.trials_per_task = 6;
  CHECK(f.jobs->Create(longer).status() == absl::AlreadyExistsError(taken));
  CHECK(*f.jobs->Create(JobsFixture::Job({Rig::Task(8)}, "key")) == 1);
}

TEST_CASE("an idempotency key finds a job from before device classes", "[server]") {
  JobsFixture f;
  const int64_t id = f.jobs->Create(JobsFixture::Job({Rig::Task(8)}, "old")).value();
  db::Job job = JobsFixture::Job({Rig::Task(8)}, "old");
  job.options.device_class = "x86/fake";
  CHECK(f.jobs->Create(job).value() == id);
  job.options.idempotency_key = "new";
  REQUIRE(f.jobs->Create(job).ok());
  job.options.device_class = "x86/other";
  CHECK(absl::IsAlreadyExists(f.jobs->Create(job).status()));
}

TEST_CASE("an idempotency key finds a job from before extra trials", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job({Rig::Task(8), Rig::Task(16)}, "old");
  const int64_t id = f.jobs->Create(job).value();
  job.options.extra_trials = 1;
  CHECK(f.jobs->Create(job).value() == id);
  job.options.idempotency_key = "new";
  REQUIRE(f.jobs->Create(job).ok());
  job.options.extra_trials = 0;
  CHECK(absl::IsAlreadyExists(f.jobs->Create(job).status()));
}

TEST_CASE("an idempotency key finds a job that began from nothing", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job({Rig::Task(8)}, "old");
  job.options.prior = "none";
  const int64_t id = f.jobs->Create(job).value();
  job.options.prior = "auto";
  CHECK(f.jobs->Create(job).value() == id);
  job.options.prior = "x86-1";
  CHECK(absl::IsAlreadyExists(f.jobs->Create(job).status()));
}

TEST_CASE("of one task every scheduler makes the same job for an idempotency key", "[server]") {
  JobsFixture f;
  db::Job job = JobsFixture::Job({Rig::Task(8)}, "key");
  job.options.scheduler = "fair";
  const int64_t id = f.jobs->Create(job).value();
  job.options.scheduler = "gradient";
  CHECK(f.jobs->Create(job).value() == id);
  job = JobsFixture::Job({Rig::Task(8), Rig::Task(16)}, "two");
  REQUIRE(f.jobs->Create(job).ok());
  job.options.scheduler = "fixed";
  CHECK(absl::IsAlreadyExists(f.jobs->Create(job).status()));
}

TEST_CASE("the progress of a job that has ended has its tasks' trials and why they ended",
          "[server]") {
  JobsFixture f;
  for (const std::string scheduler : {"gradient", "fair"}) {
    CAPTURE(scheduler);
    db::Job job = JobsFixture::Job({Rig::Task(8), Rig::Task(16)});
    job.options.scheduler = scheduler;
    job.options.extra_trials = 1;
    job.tasks[1].weight = 2.5;
    const int64_t id = f.memory->CreateJob(job).value();
    std::vector<db::Event> events;
    const auto add = [&](db::EventKind kind, int task) -> db::Event& {
      db::Event& event = events.emplace_back();
      event.job_id = id;
      event.sequence = static_cast<int64_t>(events.size());
      event.kind = kind;
      event.task_index = task;
      return event;
    };
    for (int trial = 0; trial < 3; ++trial) add(db::EventKind::kProposed, 0).trial = trial;
    add(db::EventKind::kTaskDone, 0).reason = "no more programs";
    for (int trial = 3; trial < 11; ++trial) add(db::EventKind::kProposed, 1).trial = trial;
    add(db::EventKind::kTaskDone, 1);
    REQUIRE(f.memory->Append({}, events).ok());
    REQUIRE(f.memory->SetJobState(id, db::JobState::kDone, "").ok());
    const proto::JobProgress progress = f.jobs->Progress(id).value();
    REQUIRE(progress.tasks.size() == 2);
    CHECK(progress.tasks[0].end_reason == "no more programs");
    CHECK(progress.tasks[1].end_reason.empty());
    CHECK(progress.tasks[0].trials_total == (scheduler == "fair" ? 6 : 3));
    CHECK(progress.tasks[1].trials_total == (scheduler == "fair" ? 5 : 8));
    CHECK(progress.tasks[0].weight == 1);
    CHECK(progress.tasks[1].weight == 2.5);
  }
}

TEST_CASE("a stored job that can't be started is failed with the reason", "[server]") {
  JobsFixture f;
  f.store.trouble = absl::DataLossError("page 7 is damaged");
  const absl::Status status = f.jobs->Create(JobsFixture::Job()).status();
  CHECK(status == absl::DataLossError("job 1 can't be started: page 7 is damaged"));
  const db::Job job = *f.memory->GetJob(1);
  CHECK(job.state == db::JobState::kFailed);
  CHECK(job.message == "can't be started: page 7 is damaged");
  CHECK(absl::IsFailedPrecondition(f.jobs->Cancel(1)));
}

TEST_CASE("a job that can't be continued is failed and the others go on", "[server]") {
  JobsFixture f;
  db::Job unknown = JobsFixture::Job();
  unknown.options.explorer = "tarot";
  REQUIRE(f.memory->CreateJob(unknown).ok());
  REQUIRE(f.memory->CreateJob(JobsFixture::Job()).ok());
  REQUIRE(f.jobs->ResumeUnfinished().ok());
  CHECK(f.memory->GetJob(1)->state == db::JobState::kFailed);
  CHECK(f.memory->GetJob(1)->message.rfind("can't be continued: ", 0) == 0);
  CHECK(f.memory->GetJob(2)->state == db::JobState::kRunning);
}

const absl::Status kLocked = absl::UnavailableError("the database is locked");

TEST_CASE("a job that the store's trouble keeps from going on waits and then goes on", "[server]") {
  JobsFixture f;
  const int64_t id = *f.memory->CreateJob(JobsFixture::Job());
  for (absl::Status* const trouble : {&f.store.trouble, &f.store.state_trouble}) {
    *trouble = kLocked;
    REQUIRE(f.jobs->ResumeUnfinished().ok());
    for (int i = 0; i < 3; ++i) {
      f.clock.Advance(absl::Seconds(2));
      f.jobs->Tend();
      CHECK(f.memory->GetJob(id)->state == db::JobState::kQueued);
      CHECK(f.jobs->Progress(id)->message ==
            "waits for the server's database, and goes on by itself: the database is locked");
    }
    *trouble = absl::OkStatus();
  }
  const JobManager::Version waiting = f.jobs->ProgressVersion(id);
  f.clock.Advance(absl::Seconds(2));
  f.jobs->Tend();
  CHECK(f.memory->GetJob(id)->state == db::JobState::kRunning);
  CHECK(f.jobs->ProgressVersion(id) != waiting);
  CHECK(f.jobs->Progress(id)->message.find("database") == std::string::npos);
}

TEST_CASE("a new job that was stored and can't be started yet is started later", "[server]") {
  JobsFixture f;
  f.store.trouble = kLocked;
  const auto id = f.jobs->Create(JobsFixture::Job());
  INFO(id.status());
  REQUIRE(id.ok());
  CHECK(f.memory->GetJob(*id)->state == db::JobState::kQueued);
  f.store.trouble = absl::OkStatus();
  f.clock.Advance(absl::Seconds(2));
  f.jobs->Tend();
  CHECK(f.memory->GetJob(*id)->state == db::JobState::kRunning);
}

TEST_CASE("a failure that can't be stored is stored later", "[server]") {
  JobsFixture f;
  const int64_t id = *f.memory->CreateJob(JobsFixture::Job());
  f.store.trouble = absl::DataLossError("page 7 is damaged");
  f.store.state_trouble = kLocked;
  REQUIRE(f.jobs->ResumeUnfinished().ok());
  f.store.state_trouble = absl::OkStatus();
  f.clock.Advance(absl::Seconds(2));
  f.jobs->Tend();
  CHECK(f.memory->GetJob(id)->state == db::JobState::kFailed);
  CHECK(f.memory->GetJob(id)->message == "can't be continued: page 7 is damaged");
}

TEST_CASE("a job without a runner can be cancelled", "[server]") {
  JobsFixture f;
  const int64_t waiting = *f.memory->CreateJob(JobsFixture::Job());
  f.store.trouble = kLocked;
  REQUIRE(f.jobs->ResumeUnfinished().ok());
  const int64_t unknown = *f.memory->CreateJob(JobsFixture::Job());
  for (const int64_t id : {waiting, unknown}) {
    f.store.state_trouble = kLocked;
    CHECK(f.jobs->Cancel(id) == kLocked);
    f.store.state_trouble = absl::OkStatus();
    CHECK(f.jobs->Cancel(id).ok());
    CHECK(f.memory->GetJob(id)->state == db::JobState::kCancelled);
    CHECK(f.jobs->Cancel(id).message() ==
          absl::StrCat("job ", id, ": has ended already (cancelled)"));
  }
  CHECK(absl::IsNotFound(f.jobs->Cancel(4711)));
  f.store.trouble = absl::OkStatus();
  f.clock.Advance(absl::Seconds(2));
  f.jobs->Tend();
  CHECK(f.memory->GetJob(waiting)->state == db::JobState::kCancelled);
}

TEST_CASE("a job that ends without a runner leaves no prior and no model", "[server]") {
  JobsFixture f;
  for (const bool cancelled : {true, false}) {
    db::Job job = JobsFixture::Job();
    if (!cancelled) job.options.explorer = "tarot";
    job.prior = *tuner::PutPrior(*f.memory, absl::StrCat("job ", cancelled), {"", "", {{}}});
    const int64_t id = *f.memory->CreateJob(job);
    const std::string model = *tuner::PutModel(*f.memory, {id, 0}, "a model");
    db::Event fitted;
    fitted.job_id = id;
    fitted.kind = db::EventKind::kModelReady;
    fitted.sequence = 1;
    fitted.model = model;
    REQUIRE(f.memory->Append({}, {fitted}).ok());
    REQUIRE((cancelled ? f.jobs->Cancel(id) : f.jobs->ResumeUnfinished()).ok());
    CHECK(db::HasEnded(f.memory->GetJob(id)->state));
    CHECK(absl::IsNotFound(f.memory->GetBlob(job.prior).status()));
    CHECK(absl::IsNotFound(f.memory->GetBlob(model).status()));
  }
}

TEST_CASE("jobs beyond the limit of unfinished ones are refused until one ends", "[server]") {
  JobsFixture f;
  const db::Job keyed = JobsFixture::Job({Rig::Task()}, "key");
  const int64_t id = f.jobs->Create(keyed).value();
  for (int i = 1; i < kMaxUnfinishedJobs; ++i) REQUIRE(f.jobs->Create(JobsFixture::Job()).ok());
  CHECK(f.jobs->Create(JobsFixture::Job()).status() ==
        absl::ResourceExhaustedError("job: 256 jobs have not ended, the limit is 256; wait for one "
                                     "to end or cancel one"));
  CHECK(f.jobs->Create(keyed).value() == id);  // no new one
  CHECK(absl::IsAlreadyExists(f.jobs->Create(JobsFixture::Job({Rig::Task(32)}, "key")).status()));
  CHECK(f.memory->ListJobs(1000)->size() == 256);
  REQUIRE(f.jobs->Cancel(7).ok());
  CHECK(Eventually([&] {
    f.jobs->Tend();
    return f.jobs->Create(JobsFixture::Job()).ok();
  }));
}

// A device with room for four trials, which come back when the test says so. It may turn a task
// away although it has room.
class FourPlaces final : public tuner::Measurer {
 public:
  int Appetite(const db::Task& task, std::string_view) override {
    absl::MutexLock lock(&mutex_);
    return task.Key() == turned_away_ ? 0 : 4 - static_cast<int>(held_.size());
  }
  // Asked last of all in a step of a job.
  std::string Missing(const db::Task& task, std::string_view) override {
    absl::MutexLock lock(&mutex_);
    ++looks_[task.Key()];
    return "";
  }
  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    absl::MutexLock lock(&mutex_);
    held_.emplace_back(request.task.Key(), std::move(done));
  }
  void TurnAway(const db::Task& task) {
    absl::MutexLock lock(&mutex_);
    turned_away_ = task.Key();
  }
  void DeliverAll() {
    std::vector<std::pair<std::string, std::function<void(db::Record)>>> all;
    {
      absl::MutexLock lock(&mutex_);
      all.swap(held_);
    }
    db::Record record;
    record.measurement.sample_seconds = {1e-3};
    for (const auto& [key, done] : all) done(record);
  }
  int looks(const db::Task& task) {
    absl::MutexLock lock(&mutex_);
    return looks_[task.Key()];
  }
  int held(const db::Task& task) {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(std::count_if(
        held_.begin(), held_.end(), [&](const auto& trial) { return trial.first == task.Key(); }));
  }

 private:
  absl::Mutex mutex_;
  std::string turned_away_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> looks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<std::string, std::function<void(db::Record)>>> held_
      ABSL_GUARDED_BY(mutex_);
};

TEST_CASE("a trial that comes back is a turn for a job that waits", "[server]") {
  db::MemoryStore store(Clock::Real());
  FourPlaces device;
  // No job looks at the device by itself again.
  JobManager jobs(store, device, Clock::Real(), ToySearch(), absl::InfiniteDuration());
  const std::vector<db::Task> tasks = {Rig::Task(8), Rig::Task(16), Rig::Task(32)};
  const auto create = [&](const db::Task& task) {
    db::Job job = JobsFixture::Job({task});
    job.options.trials_per_task = 30;
    REQUIRE(jobs.Create(job).ok());
    REQUIRE(Eventually([&] { return device.looks(task) > 0; }));
  };
  create(tasks[0]);
  CHECK(device.held(tasks[0]) == 4);
  create(tasks[1]);
  CHECK(device.held(tasks[1]) == 0);
  device.TurnAway(tasks[0]);
  device.DeliverAll();
  CHECK(Eventually([&] { return device.held(tasks[1]) == 4; }));
  create(tasks[2]);
  CHECK(device.held(tasks[2]) == 0);
  device.TurnAway(tasks[1]);
  device.DeliverAll();
  CHECK(Eventually([&] { return device.held(tasks[0]) + device.held(tasks[2]) >= 4; }));
  CHECK(Eventually([&] { return device.looks(tasks[2]) > 1; }));
}

}  // namespace
}  // namespace tessera::server
