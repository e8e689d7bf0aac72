#include "tuner/job_runner.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"
#include "tuner/accept.h"
#include "tuner/model_store.h"
#include "tuner/prior_store.h"
#include "tuner/store_trouble.h"

namespace tessera::tuner {
namespace {

// Between two attempts while the store fails.
constexpr absl::Duration kStorePause = absl::Seconds(1);
constexpr size_t kRateWindow = 64;

// Why tasks end, in words for people: docs/jobs.md explains them.
constexpr char kOutOfTime[] = "out of time", kLittleLeft[] = "little left to gain",
               kNoPrograms[] = "no more programs";

}  // namespace

JobRunner::JobRunner(db::Job job, JobParts parts, TuningState state)
    : job_(std::move(job)),
      parts_(std::move(parts)),
      state_(std::move(state)),
      runs_(job_.tasks.size()) {}

JobRunner::~JobRunner() {
  Stop();
  inbox_->Close();
}

absl::StatusOr<std::unique_ptr<JobRunner>> JobRunner::Create(db::Job job, JobParts parts,
                                                             const SearchOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(
      TuningState state,
      TuningState::Create(job, parts.spaces, options, {parts.prior, parts.learner->Prior()}));
  parts.prior = nullptr;  // the state has what it needs of it
  std::unique_ptr<JobRunner> runner(
      new JobRunner(std::move(job), std::move(parts), std::move(state)));
  TESSERA_RETURN_IF_ERROR(runner->Resume());
  return runner;
}

absl::Status JobRunner::Resume() {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Event> log, parts_.store.ReadEvents(job_.id, 0));
  std::vector<std::string> replaced(runs_.size());  // the last but one model of each task
  for (const db::Event& event : log) {
    if (event.kind == db::EventKind::kModelReady && event.task_index >= 0 &&
        event.task_index < state_.task_count()) {
      replaced[event.task_index] = state_.task(event.task_index).model;
    }
    TESSERA_RETURN_IF_ERROR(state_.Apply(event));
  }
  log = std::vector<db::Event>();  // the largest thing here by far: gone before models are loaded
  ended_ = db::HasEnded(job_.state);
  if (!ended_) TESSERA_RETURN_IF_ERROR(LoadModels());
  for (int t = 0; t < state_.task_count(); ++t) {
    // A runner that was killed may have left it.
    DropModel(t, replaced[t]);
    const std::vector<int64_t> pending = state_.PendingTrials(t);
    runs_[t].ready.assign(pending.begin(), pending.end());
  }
  if (!ended_ && job_.state != db::JobState::kRunning) {
    TESSERA_RETURN_IF_ERROR(parts_.store.SetJobState(job_.id, db::JobState::kRunning, ""));
    job_.state = db::JobState::kRunning;
  }
  Publish();
  return absl::OkStatus();
}

// Those that the log names, once each.
absl::Status JobRunner::LoadModels() {
  for (int t = 0; t < state_.task_count(); ++t) {
    const std::string digest = state_.MissingModel(t);
    if (digest.empty()) continue;
    absl::StatusOr<std::shared_ptr<const Ranker>> ranker =
        GetModel(parts_.store, *parts_.learner, {job_.id, t}, digest);
    TESSERA_RETURN_IF_ERROR(FromStore(ranker.status(), "model"));
    if (*ranker != nullptr) ReportPrior(t, (*ranker)->BuildsOnPrior());
    state_.SetRanker(t, *std::move(ranker));
    changed_ = true;
  }
  return absl::OkStatus();
}

void JobRunner::ReportPrior(int task_index, bool builds_on_prior) {
  if (parts_.learner->Prior() == nullptr) return;
  if (std::exchange(runs_[task_index].builds_on_prior, builds_on_prior) == builds_on_prior) return;
  LogInfo(absl::StrCat("job ", job_.id, ", task ", job_.tasks[task_index].name, ": its model ",
                       builds_on_prior ? "builds on that of other tasks again"
                                       : "lets go of that of other tasks, which misled it",
                       ", ", state_.task(task_index).taught - state_.task(task_index).known,
                       " results after it began"));
}

void JobRunner::Start() {
  TESSERA_CHECK(!thread_.joinable());
  thread_ = std::thread([this] {
    while (!stop_requested_ && Step()) inbox_->Wait(stalled_ ? kStorePause : parts_.poll);
  });
}

void JobRunner::Stop() {
  stop_requested_ = true;
  inbox_->Wake();
  Wait();
}

void JobRunner::Wait() {
  if (thread_.joinable()) thread_.join();
}

void JobRunner::Cancel() {
  cancel_requested_ = true;
  inbox_->Wake();
}

std::shared_ptr<const JobProgress> JobRunner::Progress() const {
  absl::MutexLock lock(&progress_mutex_);
  return progress_;
}

bool JobRunner::Step() {
  if (ended_) return false;
  store_trouble_ = absl::OkStatus();
  absl::Status status = Advance();
  if (!status.ok() && store_trouble_.ok()) {
    status = End(db::JobState::kFailed, std::string(status.message()));
  }
  const bool stalled = !store_trouble_.ok();
  if (stalled && !stalled_) LogError(absl::StrCat(status.message(), "; tried until it works"));
  if (!stalled && stalled_) LogInfo(absl::StrCat("job ", job_.id, ": the store works again"));
  changed_ = changed_ || stalled != stalled_ || stalled;
  stalled_ = stalled;
  if (changed_ || parts_.clock.Now() - published_ >= kPoll) Publish();
  return !ended_;
}

absl::Status JobRunner::FromStore(const absl::Status& status, std::string_view what) {
  if (status.ok()) return status;
  const absl::Status annotated =
      Annotate(status, absl::StrCat("job ", job_.id, ": ", AbslView(what)));
  if (MayPass(status)) store_trouble_ = annotated;
  return annotated;
}

absl::Status JobRunner::Advance() {
  TESSERA_RETURN_IF_ERROR(Settle());
  if (cancel_requested_ && !state_.cancelled()) {
    TESSERA_RETURN_IF_ERROR(Log({}, {NewEvent(db::EventKind::kCancel, -1)}));
  }
  if (state_.cancelled()) return End(db::JobState::kCancelled, "cancelled");
  const double limit = job_.options.max_seconds;
  out_of_time_ = limit > 0 && absl::ToDoubleSeconds(parts_.clock.Now() - job_.created) >= limit;
  TESSERA_RETURN_IF_ERROR(LogPaces());
  if (!out_of_time_) {
    StartFits();
    // What came meanwhile, a model above all, is better known before proposing than after.
    TESSERA_RETURN_IF_ERROR(Settle());
    TESSERA_RETURN_IF_ERROR(Feed());
  }
  TESSERA_RETURN_IF_ERROR(CloseFinishedTasks());
  bool all_done = true;
  for (int t = 0; t < state_.task_count(); ++t) {
    const TaskSummary& task = state_.task(t);
    const bool is_idle = task.pending == 0 && !runs_[t].comparing;
    all_done = all_done && task.done && (is_idle || out_of_time_);
  }
  return all_done ? EndDone() : absl::OkStatus();
}

// Brings what came in into the log.
absl::Status JobRunner::Settle() {
  for (Completion& completion : inbox_->Drain()) {
    if (Fitted* fitted = std::get_if<Fitted>(&completion)) {
      unlogged_.fits.push_back(std::move(*fitted));
    } else if (Compared* compared = std::get_if<Compared>(&completion)) {
      Take(std::move(*compared));
    } else {
      Take(std::get<Measured>(std::move(completion)));
    }
  }
  TESSERA_RETURN_IF_ERROR(LogResults());
  while (!unlogged_.fits.empty()) {
    TESSERA_RETURN_IF_ERROR(StoreModel(unlogged_.fits.front()));
    unlogged_.fits.pop_front();
  }
  TESSERA_RETURN_IF_ERROR(LogComparisons());
  return LoadModels();
}

void JobRunner::Take(Measured measured) {
  if (in_flight_.erase(measured.trial) == 0) return;
  const Trial& trial = *state_.pending(measured.trial);
  const int t = trial.task_index;
  --runs_[t].in_flight;
  changed_ = true;
  if (out_of_time_ && state_.task(t).done) return;
  db::Measurement& measurement = measured.record.measurement;
  if (measurement.outcome == db::Outcome::kCancelled &&
      trial.given_back >= state_.options().max_given_back) {
    // The log must not grow without end where a device takes trials and never tries them.
    measurement.outcome = db::Outcome::kInfrastructure;
    measurement.reason =
        absl::StrCat("given back untried ", state_.options().max_given_back + 1, " times");
  }
  if (measurement.outcome == db::Outcome::kCancelled) {
    db::Event event = NewEvent(db::EventKind::kLeaseLost, t);
    event.trial = measured.trial;
    unlogged_.given_back.push_back(std::move(event));
    return;
  }
  db::Record record =
      AcceptRecord(job_.id, measured.trial, trial, job_.tasks[t].Key(), std::move(measured.record));
  if (record.created == absl::Time()) record.created = parts_.clock.Now();
  db::Event event = NewEvent(db::EventKind::kResult, t);
  event.trial = measured.trial;
  event.outcome = record.measurement.outcome;
  if (event.outcome == db::Outcome::kOk) {
    event.cost_seconds = record.measurement.CostSeconds();
    event.device = record.device;
  } else {
    last_failure_ = record.measurement.reason;
  }
  unlogged_.results.push_back(std::move(event));
  unlogged_.records.push_back(std::move(record));
}

absl::Status JobRunner::LogResults() {
  // The store pairs records with the events at the same place, so results come first.
  std::vector<db::Event> events = unlogged_.results;
  events.insert(events.end(), unlogged_.given_back.begin(), unlogged_.given_back.end());
  if (events.empty()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(Log(unlogged_.records, events));
  for (const db::Record& record : unlogged_.records) parts_.measurer.Stored(record);
  for (const db::Event& event : events) {
    // What has no result yet goes first.
    if (state_.pending(event.trial) != nullptr) {
      runs_[event.task_index].ready.push_front(event.trial);
    }
  }
  const absl::Time now = parts_.clock.Now();
  for (size_t i = 0; i < unlogged_.results.size(); ++i) {
    recent_results_.push_back(now);
    if (recent_results_.size() > kRateWindow) recent_results_.pop_front();
  }
  unlogged_.records.clear();
  unlogged_.results.clear();
  unlogged_.given_back.clear();
  return absl::OkStatus();
}

absl::Status JobRunner::StoreModel(const Fitted& fitted) {
  const int t = fitted.task_index;
  TaskRun& run = runs_[t];
  if (!fitted.model.ok()) {
    run.fitting = false;
    // Tried again when there is about as much news as a first fit asks for.
    run.fit_failed_at = state_.task(t).taught;
    LogWarning(absl::StrCat("job ", job_.id, ", task ", job_.tasks[t].name,
                            ": fit failed: ", fitted.model.status().ToString()));
    return absl::OkStatus();
  }
  if (!state_.task(t).done) {
    absl::StatusOr<std::string> digest = PutModel(parts_.store, {job_.id, t}, *fitted.model);
    TESSERA_RETURN_IF_ERROR(FromStore(digest.status(), "model"));
    const std::string replaced = state_.task(t).model;
    db::Event event = NewEvent(db::EventKind::kModelReady, t);
    event.through_sequence = fitted.through_sequence;
    event.model = *std::move(digest);
    TESSERA_RETURN_IF_ERROR(Log({}, {std::move(event)}));
    DropModel(t, replaced);
    // It is loaded from the store's bytes, so that a resumed job ranks with exactly the same model.
  }
  run.fitting = false;
  run.fit_failed_at = -1;
  return absl::OkStatus();
}

// A model that stays costs only its room: trouble here stops nothing.
void JobRunner::DropModel(int task_index, const std::string& digest) {
  if (digest.empty() || (digest == state_.task(task_index).model && !ended_)) return;
  if (absl::Status status = parts_.store.DropBlob(digest); !status.ok()) {
    LogWarning(
        absl::StrCat("job ", job_.id, ": model ", digest, " not dropped: ", status.ToString()));
  }
}

db::Event JobRunner::NewEvent(db::EventKind kind, int task_index) const {
  db::Event event;
  event.job_id = job_.id;
  event.kind = kind;
  event.task_index = task_index;
  return event;
}

db::Event JobRunner::TaskDone(int task_index, std::string reason) const {
  db::Event event = NewEvent(db::EventKind::kTaskDone, task_index);
  event.reason = std::move(reason);
  return event;
}

// One transaction; the state learns of it when it is on disk.
absl::Status JobRunner::Log(absl::Span<const db::Record> records, std::vector<db::Event> events) {
  for (size_t i = 0; i < events.size(); ++i) {
    events[i].sequence = state_.next_sequence() + static_cast<int64_t>(i);
  }
  absl::StatusOr<std::vector<int64_t>> ids = parts_.store.Append(records, events);
  TESSERA_RETURN_IF_ERROR(FromStore(ids.status(), "log"));
  changed_ = true;
  for (size_t i = 0; i < events.size(); ++i) {
    if (i < ids->size()) events[i].record_id = (*ids)[i];
    TESSERA_RETURN_IF_ERROR(state_.Apply(events[i]));
  }
  return absl::OkStatus();
}

void JobRunner::StartFits() {
  for (int t = 0; t < state_.task_count(); ++t) {
    TaskRun& run = runs_[t];
    if (run.fitting) continue;
    if (run.fit_failed_at >= 0 &&
        state_.task(t).taught < run.fit_failed_at + state_.options().first_fit) {
      continue;
    }
    std::optional<FitInput> due = state_.FitDue(t);
    if (!due) continue;
    run.fitting = true;
    parts_.executor.Submit([inbox = inbox_, space = parts_.spaces[t], learner = parts_.learner,
                            input = *std::move(due), t] {
      if (inbox->closed()) return;
      const auto fit = [&]() -> absl::StatusOr<std::string> {
        TrainingSet set;
        set.columns = space->FeatureCount();
        TESSERA_ASSIGN_OR_RETURN(set.rows, space->Features(input.points));
        set.targets = input.targets;
        set.known = input.known;
        return learner->Fit(set);
      };
      inbox->Put(Fitted{t, input.through_sequence, fit()});
    });
  }
}

absl::Status JobRunner::LogPaces() {
  std::vector<db::Event> events;
  for (const auto& [device, pace] : parts_.measurer.Paces(job_.options.device_class)) {
    if (pace == state_.paces().Of(device)) continue;
    db::Event event = NewEvent(db::EventKind::kPaced, -1);
    event.device = device;
    event.pace = pace;
    events.push_back(std::move(event));
  }
  return events.empty() ? absl::OkStatus() : Log({}, std::move(events));
}

absl::Status JobRunner::Feed() {
  std::vector<TaskLoad> loads;
  bool work_left = false;
  const auto may_propose = [&](int t) {
    if (state_.budget().Left(t) == 0) return false;
    return !state_.Plans(t) || (state_.task(t).pending == 0 && !runs_[t].fitting);
  };
  const auto has_work = [&](int t) { return !runs_[t].ready.empty() || may_propose(t); };
  // Tasks share devices, so every hand-out may change every appetite.
  while (true) {
    loads.clear();
    work_left = false;
    for (int t = 0; t < state_.task_count(); ++t) {
      if (!has_work(t)) continue;
      work_left = true;
      if (parts_.measurer.Appetite(job_.tasks[t], job_.options.device_class) <= 0) continue;
      const TaskSummary& task = state_.task(t);
      loads.push_back({.task_index = t,
                       .budget = job_.options.TrialsOf(t),
                       .handed_out = task.finished + runs_[t].in_flight,
                       .ready = static_cast<int>(runs_[t].ready.size()),
                       .gain = state_.ExpectedGain(t),
                       .proposed = task.proposed});
    }
    const int t = state_.scheduler().Next(loads);
    if (t < 0) break;
    if (runs_[t].ready.empty()) {
      const int64_t first_trial = state_.trial_count();
      TESSERA_ASSIGN_OR_RETURN(const std::vector<Proposal> proposals,
                               state_.Propose(t, BatchSize(state_.task(t).proposed)));
      std::vector<db::Event> events;
      for (const Proposal& proposal : proposals) {
        db::Event event = NewEvent(db::EventKind::kProposed, t);
        event.trial = first_trial + static_cast<int64_t>(events.size());
        event.config = proposal.config;
        event.trace = proposal.trace;
        event.loop_hash = HashToHex(proposal.loop_hash);
        event.explorer = proposal.explorer;
        events.push_back(std::move(event));
      }
      if (events.empty()) {
        // Logged at once: whoever continues the job has to know, too.
        TESSERA_RETURN_IF_ERROR(Log({}, {TaskDone(t, kNoPrograms)}));
        continue;
      }
      TESSERA_RETURN_IF_ERROR(Log({}, std::move(events)));
      for (int64_t trial = first_trial; trial < state_.trial_count(); ++trial) {
        runs_[t].ready.push_back(trial);
      }
    }
    HandOut(t);
  }
  hungry_ = work_left;
  std::string missing = MissingDevices();
  changed_ = changed_ || missing != missing_devices_;
  missing_devices_ = std::move(missing);
  return absl::OkStatus();
}

std::string JobRunner::MissingDevices() const {
  std::map<std::pair<std::string_view, int>, std::vector<int>> alike;  // tasks to a device
  for (int t = 0; t < state_.task_count(); ++t) {
    if (state_.task(t).done && state_.task(t).pending == 0) continue;
    alike[{job_.tasks[t].target, job_.tasks[t].threads}].push_back(t);
  }
  std::vector<std::string> missing;
  for (const auto& [device, tasks] : alike) {
    const std::string reason =
        parts_.measurer.Missing(job_.tasks[tasks[0]], job_.options.device_class);
    if (reason.empty()) continue;
    if (alike.size() == 1) return reason;
    const size_t others = tasks.size() - 1;
    missing.push_back(absl::StrCat(job_.tasks[tasks[0]].name,
                                   others > 0 ? absl::StrCat(" and ", others, " more") : "", ": ",
                                   reason));
  }
  return absl::StrJoin(missing, "; ");
}

void JobRunner::HandOut(int task_index) {
  TaskRun& run = runs_[task_index];
  const int64_t trial = run.ready.front();
  run.ready.pop_front();
  const Trial& state = *state_.pending(trial);
  TrialRequest request;
  request.job_id = job_.id;
  request.trial = trial;
  request.task_index = task_index;
  request.task = job_.tasks[task_index];
  request.device_class = job_.options.device_class;
  request.trace = state.trace;
  request.loop_hash = HashToHex(state.loop_hash);
  request.config = state.config;
  request.explorer = state.explorer;
  in_flight_.insert(trial);
  ++run.in_flight;
  changed_ = true;
  parts_.measurer.Start(request, [inbox = inbox_, trial](db::Record record) {
    inbox->Put(Measured{trial, std::move(record)});
  });
}

std::optional<std::string> JobRunner::ReasonToEnd(int task_index) const {
  if (state_.task(task_index).done) return std::nullopt;
  if (out_of_time_) return kOutOfTime;
  if (state_.task(task_index).pending > 0) return std::nullopt;
  if (state_.HasLittleLeft(task_index)) return kLittleLeft;
  if (state_.budget().IsUsedUp(task_index)) return "";
  return std::nullopt;
}

absl::Status JobRunner::CloseFinishedTasks() {
  std::vector<db::Event> events;
  for (int t = 0; t < state_.task_count(); ++t) {
    const TaskSummary& task = state_.task(t);
    std::optional<std::string> reason = ReasonToEnd(t);
    const bool ran_dry = task.done && task.pending == 0 && task.end_reason == kNoPrograms;
    if (!reason && !ran_dry) continue;
    if (!out_of_time_) {
      TESSERA_ASSIGN_OR_RETURN(const bool goes_on, CompareFastest(t));
      if (goes_on) continue;
    }
    if (reason) events.push_back(TaskDone(t, *std::move(reason)));
  }
  if (events.empty()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(Log({}, std::move(events)));
  inbox_->Wake();  // the trials that they leave may be others' now
  return absl::OkStatus();
}

absl::Status JobRunner::EndDone() {
  int64_t finished = 0;
  int with_little_left = 0;
  std::vector<std::string> without;
  for (int t = 0; t < state_.task_count(); ++t) {
    const TaskSummary& task = state_.task(t);
    finished += task.finished;
    with_little_left += state_.HasLittleLeft(t);
    if (job_.options.trials_per_task > 0 && task.best_trial < 0) {
      without.push_back(job_.tasks[t].name);
    }
  }
  const int64_t planned = state_.budget().total();
  std::string message;
  if (out_of_time_) {
    message = absl::StrFormat("stopped after %g s (max_seconds) with %d of %d trials",
                              job_.options.max_seconds, finished, planned);
  } else if (with_little_left > 0 && finished < planned) {
    message = absl::StrFormat("%d of %d trials: little was left to gain in %d of %d tasks",
                              finished, planned, with_little_left, state_.task_count());
  }
  if (!without.empty()) {
    if (!message.empty()) message += "; ";
    absl::StrAppend(&message, "no trial succeeded for ", absl::StrJoin(without, ", "));
    if (!last_failure_.empty()) absl::StrAppend(&message, "; last failure: ", last_failure_);
  }
  if (const std::string not_compared = NotCompared(); !not_compared.empty()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", not_compared);
  }
  const bool nothing = !without.empty() && static_cast<int>(without.size()) == state_.task_count();
  return End(nothing ? db::JobState::kFailed : db::JobState::kDone, std::move(message));
}

absl::Status JobRunner::End(db::JobState state, std::string message) {
  // A job that has not ended in the store has not ended, whatever the reason.
  if (absl::Status stored = parts_.store.SetJobState(job_.id, state, message); !stored.ok()) {
    store_trouble_ = Annotate(stored, absl::StrCat("job ", job_.id, ": state"));
    return store_trouble_;
  }
  ended_ = true;
  changed_ = true;
  inbox_->Close();
  // Nobody proposes for the job any more.
  for (int t = 0; t < state_.task_count(); ++t) DropModel(t, state_.task(t).model);
  DropPrior(parts_.store, job_);
  parts_.measurer.Abandon(job_.id);
  job_.state = state;
  job_.message = std::move(message);
  return absl::OkStatus();
}

}  // namespace tessera::tuner
