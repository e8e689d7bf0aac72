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
#include "compiler/ir/target.h"
#include "proto/convert.h"
#include "server/tasks.h"
#include "tuner/model_store.h"
#include "tuner/paces.h"
#include "tuner/prior_store.h"
#include "tuner/task_scheduler.h"
#include "tuner/trial_budget.h"

namespace tessera::server {
namespace {

constexpr tuner::SearchOptions kSearch;
constexpr int kMaxJobsToScan = 100'000;
// Between two attempts at a job while the store is in trouble.
constexpr absl::Duration kRetryPause = absl::Seconds(1);
constexpr std::string_view kWaits = "waits for the server's database, and goes on by itself: ";

// What is wrong with a job or its log, and stays so however often it is tried.
bool IsFinal(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status);
}

absl::Status EndedAlready(int64_t id, db::JobState state) {
  return absl::FailedPreconditionError(
      absl::StrCat("job ", id, ": has ended already (", std::string(ToString(state)), ")"));
}

// Of jobs that have one key. AlreadyExists when they are different ones.
absl::Status CheckIsSame(const db::Job& stored, const db::Job& wanted) {
  db::JobOptions options = wanted.options;
  // It was made before jobs had classes, or for any.
  if (stored.options.device_class.empty()) options.device_class.clear();
  // It was made before jobs had priors, or without.
  if (stored.options.prior == tuner::kNoPrior && options.prior == tuner::kAutoPrior) {
    options.prior = tuner::kNoPrior;
  }
  // It was made before jobs had extra trials.
  if (stored.options.extra_trials == 0) options.extra_trials = 0;
  // A job of one task is the same by every scheduler.
  if (stored.tasks.size() == 1) options.scheduler = stored.options.scheduler;
  if (stored.tasks == wanted.tasks && stored.options == options) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("key ", wanted.options.idempotency_key, " is taken by job ", stored.id,
                   ", which has other tasks or options; choose another key, or `tessera watch ",
                   stored.id, "`"));
}

// Of all that is measured of a task.
std::vector<std::string> KeysOf(absl::Span<const db::Task> tasks) {
  std::vector<std::string> keys;
  for (const db::Task& task : tasks) keys.push_back(task.Key());
  std::ranges::sort(keys);
  return keys;
}

// What a job says that it is of: a model for the CPUs that it is tuned on, of the same kernels.
absl::Status CheckSelection(db::Store& store, const db::Job& job) {
  if (job.selection == 0) return absl::OkStatus();
  const absl::StatusOr<db::Selection> selection = store.GetSelection(job.selection);
  if (absl::IsNotFound(selection.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat("job selection: ", selection.status().message()));
  }
  TESSERA_RETURN_IF_ERROR(selection.status());
  const std::string what = absl::StrCat("job selection: selection ", job.selection);
  if (!selection->model) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is of operators, a job's is of a model"));
  }
  std::vector<db::Task> tasks;
  for (const db::SelectionItem& item : selection->items) {
    tasks.push_back(item.task);
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(item.task.target));
    if (item.device_class != job.options.device_class || !ir::IsCpu(target.kind)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " is of device class \"", item.device_class, "\", the job of \"",
                       job.options.device_class, "\"; both have to be of the same CPUs"));
    }
  }
  if (KeysOf(tasks) != KeysOf(job.tasks)) {
    return absl::InvalidArgumentError(absl::StrCat(what, " has other kernels than the job"));
  }
  return Annotate(proto::CheckIdentifier("name", selection->name), what);
}

double BestOrZero(double seconds) { return std::isfinite(seconds) ? seconds : 0; }

proto::JobProgress FromTuner(const tuner::JobProgress& from,
                             const std::vector<std::string>& task_keys) {
  proto::JobProgress progress;
  progress.job_id = from.job_id;
  progress.state = from.state;
  progress.message = from.message;
  for (size_t i = 0; i < from.tasks.size(); ++i) {
    const tuner::TaskProgress& task = from.tasks[i];
    proto::TaskProgress& to = progress.tasks.emplace_back();
    to.name = task.name;
    to.task_key = i < task_keys.size() ? task_keys[i] : "";
    to.trials_done = task.finished;
    to.trials_total = task.budget;
    to.best_seconds = BestOrZero(task.best_seconds);
    to.weight = task.weight;
    to.done = task.done;
    to.promoted = task.promoted;
    to.end_reason = task.end_reason;
    for (int outcome = 1; outcome < tuner::kOutcomeCount; ++outcome) {
      if (task.outcomes[outcome] == 0) continue;
      to.failures.emplace_back(static_cast<db::Outcome>(outcome), task.outcomes[outcome]);
    }
  }
  progress.trials_per_second = from.trials_per_second;
  progress.remaining_seconds = from.eta_seconds;
  progress.runners = from.runners;
  return progress;
}

}  // namespace

JobManager::JobManager(db::Store& store, tuner::Measurer& measurer, Clock& clock,
                       SearchFactory factory, absl::Duration poll)
    : store_(store),
      turns_(measurer, [this] { WakeNext(); }),
      clock_(clock),
      factory_(std::move(factory)),
      priors_(store),
      poll_(poll) {}

JobManager::~JobManager() {
  turns_.Close();
  std::map<int64_t, Entry> entries;
  {
    absl::MutexLock lock(&mutex_);
    entries.swap(entries_);
  }
  for (const auto& [id, entry] : entries) {
    if (entry.runner != nullptr) entry.runner->Stop();
  }
}

absl::Status JobManager::ResumeUnfinished() {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Job> jobs, store_.ListJobs(kMaxJobsToScan));
  std::reverse(jobs.begin(), jobs.end());  // oldest first
  for (const db::Job& listed : jobs) {
    if (db::HasEnded(listed.state)) continue;
    LogInfo(absl::StrCat("job ", listed.id, " (", listed.name, ") goes on"));
    Run(listed.id, "continued").IgnoreError();  // the job says why not
  }
  return absl::OkStatus();
}

absl::StatusOr<tuner::JobParts> JobManager::MakeParts(const db::Job& job) {
  TESSERA_RETURN_IF_ERROR(CheckTasks("job", job.tasks));
  std::vector<std::shared_ptr<const tuner::SearchSpace>> spaces;
  for (const db::Task& task : job.tasks) {
    TESSERA_ASSIGN_OR_RETURN(auto space, factory_.space(task, job.options.pins, job.options.allow));
    spaces.push_back(std::move(space));
  }
  // Refuses explorers that don't exist before anything is stored.
  TESSERA_RETURN_IF_ERROR(tuner::TuningState::Create(job, spaces, kSearch).status());
  tuner::JobParts parts{.spaces = std::move(spaces),
                        .store = store_,
                        .measurer = turns_,
                        .executor = executor_,
                        .clock = clock_,
                        .poll = poll_};
  TESSERA_RETURN_IF_ERROR(TakePrior(job, parts));
  return parts;
}

absl::Status JobManager::TakePrior(const db::Job& job, tuner::JobParts& parts) {
  TESSERA_ASSIGN_OR_RETURN(tuner::StoredPrior stored, tuner::GetPrior(store_, job));
  TESSERA_ASSIGN_OR_RETURN(
      parts.learner, factory_.learner(job.options.cost_model, job.options.seed, stored.model));
  parts.prior = std::move(stored.prior);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> JobManager::Create(db::Job job) {
  // A job that exists is no more than before, however many there are.
  if (const std::string& key = job.options.idempotency_key; !key.empty()) {
    absl::StatusOr<db::Job> stored = store_.FindJob(key);
    if (stored.ok()) {
      TESSERA_RETURN_IF_ERROR(CheckIsSame(*stored, job));
      // Its creator may have failed before it ran.
      if (!db::HasEnded(stored->state)) TESSERA_RETURN_IF_ERROR(Run(stored->id, "started"));
      return stored->id;
    }
    if (!absl::IsNotFound(stored.status())) return stored.status();
  }
  {
    absl::MutexLock lock(&mutex_);
    const int unfinished = static_cast<int>(entries_.size()) + creating_;
    if (unfinished >= kMaxUnfinishedJobs) {
      return absl::ResourceExhaustedError(
          absl::StrCat("job: ", unfinished, " jobs have not ended, the limit is ",
                       kMaxUnfinishedJobs, "; wait for one to end or cancel one"));
    }
    ++creating_;
  }
  absl::StatusOr<int64_t> id = CreateChecked(std::move(job));
  absl::MutexLock lock(&mutex_);
  --creating_;
  return id;
}

absl::StatusOr<int64_t> JobManager::CreateChecked(db::Job job) {
  TESSERA_RETURN_IF_ERROR(CheckSelection(store_, job));
  job.state = db::JobState::kQueued;
  job.created = job.updated = clock_.Now();
  job.prior.clear();
  TESSERA_ASSIGN_OR_RETURN(tuner::JobParts parts, MakeParts(job));
  // It would wait for ever.
  for (const db::Task& task : job.tasks) {
    TESSERA_RETURN_IF_ERROR(turns_.CheckCanRun(task, job.options.device_class));
  }
  TESSERA_ASSIGN_OR_RETURN(job.prior, priors_.Make(job, parts.spaces));
  return StoreJob(job, std::move(parts));
}

absl::StatusOr<int64_t> JobManager::StoreJob(const db::Job& job, tuner::JobParts parts) {
  const absl::Status taken = TakePrior(job, parts);
  const absl::StatusOr<int64_t> id = taken.ok() ? store_.CreateJob(job) : taken;
  if (!id.ok()) {
    tuner::DropPrior(store_, job);
    return id.status();
  }
  std::optional<tuner::JobParts> made = std::move(parts);
  if (!job.options.idempotency_key.empty()) {
    // Somebody may have been faster since it was looked up. As long as that can't be told, the
    // prior may be that of the stored job.
    TESSERA_ASSIGN_OR_RETURN(const db::Job stored, store_.GetJob(*id));
    if (stored.prior != job.prior) {
      tuner::DropPrior(store_, job);
      made.reset();
    }
    TESSERA_RETURN_IF_ERROR(CheckIsSame(stored, job));
  }
  TESSERA_RETURN_IF_ERROR(Run(*id, "started", std::move(made)));
  return id;
}

absl::Status JobManager::MakeRunner(int64_t id, std::optional<tuner::JobParts> parts,
                                    Entry& entry) {
  TESSERA_ASSIGN_OR_RETURN(db::Job job, store_.GetJob(id));
  if (db::HasEnded(job.state)) return absl::OkStatus();
  if (!parts) {
    TESSERA_ASSIGN_OR_RETURN(tuner::JobParts made, MakeParts(job));
    parts.emplace(std::move(made));
  }
  for (const db::Task& task : job.tasks) entry.task_keys.push_back(task.Key());
  TESSERA_ASSIGN_OR_RETURN(entry.runner,
                           tuner::JobRunner::Create(std::move(job), *std::move(parts), kSearch));
  return absl::OkStatus();
}

absl::Status JobManager::Run(int64_t id, std::string_view what,
                             std::optional<tuner::JobParts> parts) {
  {
    absl::MutexLock lock(&mutex_);
    const auto [it, is_new] = entries_.try_emplace(id);
    if (!is_new) return absl::OkStatus();  // somebody is at it
    it->second.busy = true;
    it->second.what = std::string(what);
    it->second.version = ++changes_;
  }
  return TryToRun(id, std::move(parts));
}

absl::Status JobManager::TryToRun(int64_t id, std::optional<tuner::JobParts> parts) {
  Entry made;
  {
    absl::MutexLock lock(&mutex_);
    const Entry& entry = entries_.find(id)->second;
    made.what = entry.what;
    made.failure = entry.failure;
    made.cancel = entry.cancel;
  }
  absl::Status failed;   // the job, for good
  absl::Status trouble;  // that may pass
  if (made.cancel) {
    trouble = CancelStored(id);
  } else {
    if (made.failure.empty()) {
      trouble = MakeRunner(id, std::move(parts), made);
      if (IsFinal(trouble)) {
        failed = Annotate(trouble, absl::StrCat("job ", id, " can't be ", made.what));
        made.failure = absl::StrCat("can't be ", made.what, ": ", trouble.message());
        LogError(absl::StrCat("job ", id, " ", made.failure));
      }
    }
    // Before others may be at the job, so that nobody runs it meanwhile.
    if (!made.failure.empty()) {
      trouble = EndStored(id, db::JobState::kFailed, made.failure);
    }
  }
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_.find(id)->second;
  if (made.runner != nullptr) {
    if (entry.cancel) made.runner->Cancel();
    made.runner->Start();
    entry.runner = std::move(made.runner);
    entry.task_keys = std::move(made.task_keys);
    entry.busy = false;
    entry.version = ++changes_;
  } else if (trouble.ok() || absl::IsNotFound(trouble) ||
             (made.cancel && absl::IsFailedPrecondition(trouble))) {
    Forget(id);  // it has ended
  } else {
    entry.failure = std::move(made.failure);
    LetWait(id, entry, trouble);
  }
  return failed;
}

void JobManager::LetWait(int64_t id, Entry& entry, const absl::Status& trouble) {
  if (entry.trouble != trouble.message()) {
    entry.trouble = std::string(trouble.message());
    entry.version = ++changes_;
    LogError(absl::StrCat("job ", id, " can't be ", entry.what, " yet: ", entry.trouble,
                          "; tried until it works"));
  }
  entry.next_try = clock_.Now() + kRetryPause;
  entry.busy = false;
}

void JobManager::Forget(int64_t id) {
  entries_.erase(id);
  ++changes_;
}

absl::Status JobManager::Cancel(int64_t id) {
  {
    absl::MutexLock lock(&mutex_);
    const auto [it, is_new] = entries_.try_emplace(id);
    Entry& entry = it->second;
    if (entry.runner != nullptr) {
      const db::JobState state = entry.runner->Progress()->state;
      if (db::HasEnded(state)) return EndedAlready(id, state);
      entry.runner->Cancel();
      return absl::OkStatus();
    }
    if (entry.busy) {
      entry.cancel = true;
      return absl::OkStatus();
    }
    entry.busy = true;
    if (is_new) entry.what = "continued";
  }
  const absl::Status status = CancelStored(id);
  absl::MutexLock lock(&mutex_);
  if (status.ok() || absl::IsNotFound(status) || absl::IsFailedPrecondition(status)) {
    Forget(id);
  } else {
    LetWait(id, entries_.find(id)->second, status);
  }
  return status;
}

absl::Status JobManager::CancelStored(int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, store_.GetJob(id));
  if (db::HasEnded(job.state)) return EndedAlready(id, job.state);
  return EndStored(id, db::JobState::kCancelled, "cancelled");
}

absl::Status JobManager::EndStored(int64_t id, db::JobState state, std::string_view message) {
  TESSERA_RETURN_IF_ERROR(store_.SetJobState(id, state, message));
  // What a runner drops at its end.
  if (const absl::StatusOr<db::Job> job = store_.GetJob(id); job.ok()) {
    tuner::DropPrior(store_, *job);
  } else {
    LogWarning(absl::StrCat("job ", id, ": prior not dropped: ", job.status().ToString()));
  }
  tuner::DropModels(store_, id);
  return absl::OkStatus();
}

absl::StatusOr<proto::JobProgress> JobManager::Progress(int64_t id) {
  std::shared_ptr<const tuner::JobProgress> live;
  std::vector<std::string> task_keys;
  std::string trouble;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = entries_.find(id); it != entries_.end()) {
      trouble = it->second.trouble;
      task_keys = it->second.task_keys;
      if (it->second.runner != nullptr) live = it->second.runner->Progress();
    }
  }
  if (live != nullptr) return FromTuner(*live, task_keys);
  absl::StatusOr<proto::JobProgress> progress = ProgressFromLog(id);
  if (trouble.empty() || (progress.ok() && db::HasEnded(progress->state))) return progress;
  if (!progress.ok()) progress = proto::JobProgress{.job_id = id, .state = db::JobState::kRunning};
  progress->message = absl::StrCat(AbslView(kWaits), trouble);
  return progress;
}

std::vector<int64_t> JobManager::Running() {
  std::vector<int64_t> ids;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : entries_) {
    if (entry.runner != nullptr && !db::HasEnded(entry.runner->Progress()->state))
      ids.push_back(id);
  }
  return ids;
}

std::string JobManager::Remark(int64_t id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  if (it == entries_.end()) return "";
  const Entry& entry = it->second;
  if (entry.runner != nullptr) return entry.runner->Progress()->message;
  return entry.trouble.empty() ? "" : absl::StrCat(AbslView(kWaits), entry.trouble);
}

JobManager::Version JobManager::ProgressVersion(int64_t id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  // Whoever was forgotten may be any of those without an entry.
  if (it == entries_.end()) return {changes_, 0};
  const Entry& entry = it->second;
  return {entry.version, entry.runner == nullptr ? 0 : entry.runner->Progress()->revision};
}

absl::StatusOr<proto::JobProgress> JobManager::ProgressFromLog(int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const db::Job job, store_.GetJob(id));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Event> events, store_.ReadEvents(id, 0));
  proto::JobProgress progress{
      .job_id = id, .state = job.state, .message = job.message, .runners = turns_.RunnerTimes(id)};
  for (const db::Task& task : job.tasks) {
    progress.tasks.push_back({.name = task.name,
                              .task_key = task.Key(),
                              .weight = task.weight,
                              .done = db::HasEnded(job.state)});
  }
  const auto scheduler = tuner::MakeTaskScheduler(job.options.scheduler);
  tuner::TrialBudget budget(job, scheduler.ok() && (*scheduler)->SharesBudget());
  tuner::Paces paces;  // as the job's end knew them
  for (const db::Event& event : events) {
    if (event.kind == db::EventKind::kPaced) paces.Set(event.device, event.pace);
  }
  for (const db::Event& event : events) {
    if (event.task_index < 0 || event.task_index >= static_cast<int>(progress.tasks.size())) {
      continue;
    }
    proto::TaskProgress& task = progress.tasks[event.task_index];
    if (event.kind == db::EventKind::kCompared) task.promoted = event.record_id;
    if (event.kind == db::EventKind::kProposed) budget.Propose(event.task_index);
    if (event.kind == db::EventKind::kTaskDone) {
      budget.End(event.task_index);
      task.done = true;
      task.end_reason = event.reason;
    }
    if (event.kind != db::EventKind::kResult) continue;
    ++task.trials_done;
    if (event.outcome == db::Outcome::kOk) {
      const bool first = task.best_seconds == 0;
      const double seconds = paces.Comparable(paces.NumberOf(event.device), event.cost_seconds);
      task.best_seconds = first ? seconds : std::min(task.best_seconds, seconds);
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
  for (size_t t = 0; t < progress.tasks.size(); ++t) {
    progress.tasks[t].trials_total = budget.Allotted(static_cast<int>(t));
  }
  return progress;
}

void JobManager::Wake() {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : entries_) {
    if (entry.runner != nullptr) entry.runner->Wake();
  }
}

void JobManager::WakeNext() {
  absl::MutexLock lock(&mutex_);
  auto it = entries_.upper_bound(last_woken_);
  for (size_t i = 0; i < entries_.size(); ++i, ++it) {
    if (it == entries_.end()) it = entries_.begin();
    if (it->second.runner == nullptr || !it->second.runner->Hungry()) continue;
    last_woken_ = it->first;
    it->second.runner->Wake();
    return;
  }
}

void JobManager::Tend() {
  std::vector<std::shared_ptr<tuner::JobRunner>> ended;  // destroyed after the lock is released
  std::optional<int64_t> due;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_.Now();
    for (auto it = entries_.begin(); it != entries_.end();) {
      const int64_t id = it->first;
      Entry& entry = (it++)->second;
      if (entry.runner != nullptr && db::HasEnded(entry.runner->Progress()->state)) {
        ended.push_back(std::move(entry.runner));
        Forget(id);
      } else if (entry.runner == nullptr && !entry.busy && !due && entry.next_try <= now) {
        entry.busy = true;
        due = id;
      }
    }
  }
  if (due) TryToRun(*due, std::nullopt).IgnoreError();  // the job says why not
}

}  // namespace tessera::server
