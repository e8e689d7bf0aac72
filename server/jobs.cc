#include "server/jobs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"
#include "server/tasks.h"

namespace tessera::server {
namespace {

// The dispatcher has tried again what is worth it (dispatcher.h).
constexpr tuner::SearchOptions kSearch = {.max_attempts = 1};
constexpr int kMaxJobsToScan = 100'000;

bool Ended(db::JobState state) {
  return state == db::JobState::kDone || state == db::JobState::kFailed ||
         state == db::JobState::kCancelled;
}

double BestOrZero(double seconds) { return std::isfinite(seconds) ? seconds : 0; }

proto::JobProgress FromTuner(const tuner::JobProgress& from, const db::Job& job) {
  proto::JobProgress progress;
  progress.job_id = from.job_id;
  progress.state = from.state;
  progress.message =
      from.starved ? "waits: no connected device takes this job's tasks" : from.message;
  for (size_t i = 0; i < from.tasks.size(); ++i) {
    const tuner::TaskProgress& task = from.tasks[i];
    proto::TaskProgress& to = progress.tasks.emplace_back();
    to.name = task.name;
    to.task_key = i < job.tasks.size() ? job.tasks[i].Key() : "";
    to.trials_done = task.finished;
    to.trials_total = task.budget;
    to.best_seconds = BestOrZero(task.best_seconds);
    to.done = task.done;
    for (int outcome = 1; outcome < tuner::kOutcomeCount; ++outcome) {
      if (task.outcomes[outcome] == 0) continue;
      to.failures.emplace_back(static_cast<db::Outcome>(outcome), task.outcomes[outcome]);
    }
  }
  progress.trials_per_second = from.trials_per_second;
  progress.remaining_seconds = from.eta_seconds;
  return progress;
}

}  // namespace

JobManager::JobManager(db::Store& store, tuner::Measurer& measurer, Clock& clock,
                       SearchFactory factory)
    : store_(store), measurer_(measurer), clock_(clock), factory_(std::move(factory)) {}

JobManager::~JobManager() {
  std::map<int64_t, std::shared_ptr<tuner::JobRunner>> runners;
  {
    absl::MutexLock lock(&mutex_);
    runners.swap(runners_);
  }
  for (const auto& [id, runner] : runners) {
    if (runner != nullptr) runner->Stop();
  }
}

absl::Status JobManager::ResumeUnfinished() {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Job> jobs, store_.ListJobs(kMaxJobsToScan));
  std::reverse(jobs.begin(), jobs.end());  // oldest first
  for (const db::Job& listed : jobs) {
    if (Ended(listed.state)) continue;
    LogInfo(absl::StrCat("job ", listed.id, " (", listed.name, ") goes on"));
    Run(listed.id, "continued").IgnoreError();  // the job says why not
  }
  return absl::OkStatus();
}

absl::StatusOr<tuner::JobParts> JobManager::MakeParts(const db::Job& job) {
  TESSERA_RETURN_IF_ERROR(CheckTasks(job.tasks));
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces;
  for (const db::Task& task : job.tasks) {
    auto space = factory_.space(task);
    if (!space.ok()) return Annotate(space.status(), absl::StrCat("task ", task.name));
    spaces.push_back(*std::move(space));
  }
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<const tuner::Learner> learner,
                           factory_.learner(job.options.cost_model, job.options.seed));
  // Refuses explorers that don't exist before anything is stored.
  TESSERA_RETURN_IF_ERROR(tuner::TuningState::Create(job, spaces, kSearch).status());
  return tuner::JobParts{.spaces = std::move(spaces),
                         .learner = std::move(learner),
                         .store = store_,
                         .measurer = measurer_,
                         .executor = executor_,
                         .clock = clock_};
}

absl::StatusOr<int64_t> JobManager::Create(db::Job job) {
  job.state = db::JobState::kQueued;
  job.created = job.updated = clock_.Now();
  TESSERA_ASSIGN_OR_RETURN(tuner::JobParts parts, MakeParts(job));
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, store_.CreateJob(job));
  TESSERA_RETURN_IF_ERROR(Run(id, "started", Prepared{std::move(job), std::move(parts)}));
  return id;
}

absl::StatusOr<std::shared_ptr<tuner::JobRunner>> JobManager::MakeRunner(
    int64_t id, std::optional<Prepared> prepared) {
  TESSERA_ASSIGN_OR_RETURN(db::Job job, store_.GetJob(id));
  if (Ended(job.state)) return nullptr;
  // An idempotency key may have named an older job, which need not be the same.
  if (!prepared || prepared->job.tasks != job.tasks || prepared->job.options != job.options) {
    TESSERA_ASSIGN_OR_RETURN(tuner::JobParts parts, MakeParts(job));
    prepared.emplace(Prepared{job, std::move(parts)});
  }
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<tuner::JobRunner> runner,
      tuner::JobRunner::Create(std::move(job), std::move(prepared->parts), kSearch));
  return std::shared_ptr<tuner::JobRunner>(std::move(runner));
}

absl::Status JobManager::Run(int64_t id, std::string_view what, std::optional<Prepared> prepared) {
  {
    absl::MutexLock lock(&mutex_);
    if (!runners_.try_emplace(id, nullptr).second) return absl::OkStatus();  // it runs
  }
  absl::StatusOr<std::shared_ptr<tuner::JobRunner>> runner = MakeRunner(id, std::move(prepared));
  if (!runner.ok()) {
    const std::string message =
        absl::StrCat("can't be ", AbslView(what), ": ", runner.status().message());
    LogError(absl::StrCat("job ", id, " ", message));
    // Before the id is free, so that nobody runs it meanwhile.
    const absl::Status stored = store_.SetJobState(id, db::JobState::kFailed, message);
    if (!stored.ok())
      LogError(absl::StrCat("job ", id, ": not stored as failed: ", stored.message()));
  }
  absl::MutexLock lock(&mutex_);
  if (!runner.ok() || *runner == nullptr) {
    runners_.erase(id);
    return Annotate(runner.status(), absl::StrCat("job ", id, " can't be ", AbslView(what)));
  }
  (*runner)->Start();
  runners_[id] = *std::move(runner);
  return absl::OkStatus();
}

std::shared_ptr<tuner::JobRunner> JobManager::Find(int64_t id) {
  absl::MutexLock lock(&mutex_);
  const auto it = runners_.find(id);
  return it == runners_.end() ? nullptr : it->second;
}

absl::Status JobManager::Cancel(int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, store_.GetJob(id));
  const std::shared_ptr<tuner::JobRunner> runner = Find(id);
  if (Ended(job.state) || runner == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", id, ": has ended already (", std::string(ToString(job.state)), ")"));
  }
  runner->Cancel();
  return absl::OkStatus();
}

absl::StatusOr<proto::JobProgress> JobManager::Progress(int64_t id) {
  const std::shared_ptr<tuner::JobRunner> runner = Find(id);
  if (runner == nullptr) return ProgressFromLog(id);
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, store_.GetJob(id));
  return FromTuner(*runner->Progress(), job);
}

absl::StatusOr<proto::JobProgress> JobManager::ProgressFromLog(int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, store_.GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Event> events, store_.ReadEvents(id, 0));
  proto::JobProgress progress{.job_id = id, .state = job.state, .message = job.message};
  for (const db::Task& task : job.tasks) {
    progress.tasks.push_back({.name = task.name,
                              .task_key = task.Key(),
                              .trials_total = job.options.trials_per_task,
                              .done = true});
  }
  for (const db::Event& event : events) {
    if (event.kind != db::EventKind::kResult || event.task_index < 0 ||
        event.task_index >= static_cast<int>(progress.tasks.size())) {
      continue;
    }
    proto::TaskProgress& task = progress.tasks[event.task_index];
    ++task.trials_done;
    if (event.outcome == db::Outcome::kOk) {
      const bool first = task.best_seconds == 0;
      task.best_seconds =
          first ? event.cost_seconds : std::min(task.best_seconds, event.cost_seconds);
      continue;
    }
    const auto known =
        std::find_if(task.failures.begin(), task.failures.end(),
                     [&](const auto& failure) { return failure.first == event.outcome; });
    if (known == task.failures.end()) {
      task.failures.emplace_back(event.outcome, 1);
    } else {
      ++known->second;
    }
  }
  return progress;
}

void JobManager::Wake() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, runner] : runners_) {
    if (runner != nullptr) runner->Wake();
  }
}

void JobManager::Reap() {
  std::vector<std::shared_ptr<tuner::JobRunner>> ended;  // destroyed after the lock is released
  absl::MutexLock lock(&mutex_);
  for (auto it = runners_.begin(); it != runners_.end();) {
    if (it->second != nullptr && Ended(it->second->Progress()->state)) {
      ended.push_back(std::move(it->second));
      it = runners_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace tessera::server
