#include "tuner/state.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/hash.h"
#include "base/status.h"

namespace tessera::tuner {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
absl::Status Broken(const db::Event& event, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("event ", event.sequence, " of job ", event.job_id, ": ", what));
}

}  // namespace

TuningState::TaskState::TaskState(Examples none, absl::Span<const double> sketch_work)
    : examples(std::move(none)), contenders(sketch_work) {}

TuningState::TuningState(const db::Job& job, const SearchOptions& options,
                         std::unique_ptr<const TaskScheduler> scheduler)
    : seed_(job.options.seed),
      options_(options),
      scheduler_(std::move(scheduler)),
      budget_(job, scheduler_->SharesBudget()),
      // A job of one task has nobody to leave its trials to.
      weighs_gains_(scheduler_->SharesBudget() && job.tasks.size() > 1) {
  if (weighs_gains_) gains_ = JobGains(job.tasks);
}

absl::StatusOr<TuningState> TuningState::Create(
    const db::Job& job, std::vector<std::shared_ptr<const SearchSpace>> spaces,
    const SearchOptions& options, const Beginning& beginning) {
  if (spaces.size() != job.tasks.size()) {
    return absl::InvalidArgumentError(absl::StrCat("job ", job.id, " has ", job.tasks.size(),
                                                   " tasks but ", spaces.size(), " spaces"));
  }
  if (beginning.prior != nullptr && beginning.prior->tasks.size() != job.tasks.size()) {
    return absl::InvalidArgumentError(absl::StrCat("job ", job.id, " has ", job.tasks.size(),
                                                   " tasks but its prior has ",
                                                   beginning.prior->tasks.size()));
  }
  TESSERA_ASSIGN_OR_RETURN(auto scheduler, MakeTaskScheduler(job.options.scheduler));
  TuningState state(job, options, std::move(scheduler));
  state.prior_ranker_ = beginning.ranker;
  for (std::shared_ptr<const SearchSpace>& space : spaces) {
    TaskState task(state.NoExamples(), space->SketchWork());
    task.space = std::move(space);
    TESSERA_ASSIGN_OR_RETURN(task.explorer, MakeExplorer(job.options.explorer));
    task.summary.best_seconds = kInfinity;
    if (task.explorer->UsesModel()) task.ranker = beginning.ranker;
    if (beginning.prior != nullptr) {
      state.Begin(task, beginning.prior->tasks[state.tasks_.size()]);
      if (state.weighs_gains_) {
        // What is there already need not be gained.
        state.gains_.Know(static_cast<int>(state.tasks_.size()), task.known.Best().seconds,
                          task.summary.known);
      }
    }
    state.tasks_.push_back(std::move(task));
  }
  return state;
}

void TuningState::Begin(TaskState& task, const TaskPrior& prior) {
  for (const KnownProgram& known : prior.known) {
    task.loop_hashes.insert(known.loop_hash);
    absl::StatusOr<Point> point = task.space->Parse(known.config);
    if (!point.ok()) continue;
    const bool ok = std::isfinite(known.cost_seconds);
    const int device = ok ? paces_.NumberOf(known.device) : 0;
    task.points.insert(HashPoint(*point));
    task.explorer->Observe(ViewOf(task, nullptr),
                           {*point, ok, known.cost_seconds, 0, "", task.known.Best().seconds},
                           Rng(seed_).Fork(absl::StrCat("observe/known/", task.summary.known)));
    task.contenders.Proposed(point->front(), false);
    if (ok) {
      task.contenders.Measured(point->front(), known.cost_seconds);
      task.known.Add(device, {known.cost_seconds});
    }
    task.examples.Add(*std::move(point), known.cost_seconds, device);
    ++task.summary.known;
    ++task.summary.taught;
  }
  // Explorers without a model are the measure of what models are worth: they get nothing else.
  if (!task.explorer->UsesModel()) return;
  const int64_t budget = budget_.Allotted(static_cast<int>(tasks_.size()));
  const auto wanted = static_cast<size_t>(std::max<int64_t>(1, budget / 4));
  for (const std::string& config : prior.first_configs) {
    if (task.of_near_tasks.size() == wanted) break;
    absl::StatusOr<Point> point = task.space->Parse(config);
    if (point.ok()) task.of_near_tasks.push_back(*std::move(point));
  }
}

absl::Status TuningState::Apply(const db::Event& event) {
  if (event.sequence != last_sequence_ + 1) {
    return Broken(event, absl::StrCat("expected sequence ", last_sequence_ + 1));
  }
  const bool names_task =
      event.kind != db::EventKind::kCancel && event.kind != db::EventKind::kPaced;
  if (names_task && (event.task_index < 0 || event.task_index >= task_count())) {
    return Broken(event,
                  absl::StrCat("task ", event.task_index, " is not in [0, ", task_count(), ")"));
  }
  switch (event.kind) {
    case db::EventKind::kProposed:
      TESSERA_RETURN_IF_ERROR(ApplyProposed(event));
      break;
    case db::EventKind::kResult:
      TESSERA_RETURN_IF_ERROR(ApplyResult(event));
      break;
    case db::EventKind::kModelReady:
      ApplyModelReady(event);
      break;
    case db::EventKind::kLeaseLost: {
      // The trial is pending as before; who hands out trials reads that from here.
      TESSERA_ASSIGN_OR_RETURN(Trial* const trial, PendingTrial(event));
      ++trial->given_back;
      break;
    }
    case db::EventKind::kTaskDone: {
      // Nothing is proposed any more: what proposals are made from can go.
      TaskState done(NoExamples());
      done.own = std::move(tasks_[event.task_index].own);
      done.summary = std::move(tasks_[event.task_index].summary);
      done.summary.done = true;
      done.summary.end_reason = event.reason;
      budget_.End(event.task_index);
      tasks_[event.task_index] = std::move(done);
      break;
    }
    case db::EventKind::kCompared:
      tasks_[event.task_index].summary.promoted = event.record_id;
      break;
    case db::EventKind::kCancel:
      cancelled_ = true;
      break;
    case db::EventKind::kPaced:
      if (!(std::isfinite(event.pace) && event.pace > 0)) {
        return Broken(event, absl::StrCat("pace ", event.pace, " is not a positive number"));
      }
      ApplyPaced(event);
      break;
    default:
      return Broken(event, absl::StrCat("kind ", static_cast<int>(event.kind), " is not known"));
  }
  last_sequence_ = event.sequence;
  return absl::OkStatus();
}

absl::StatusOr<Trial*> TuningState::PendingTrial(const db::Event& event) {
  if (event.trial < 0 || event.trial >= trial_count_) {
    return Broken(event, absl::StrCat("trial ", event.trial, " was never proposed"));
  }
  const auto found = pending_.find(event.trial);
  if (found == pending_.end()) {
    return Broken(event, absl::StrCat("trial ", event.trial, " already has a result"));
  }
  if (found->second.task_index != event.task_index) {
    return Broken(event, absl::StrCat("trial ", event.trial, " belongs to task ",
                                      found->second.task_index, ", not ", event.task_index));
  }
  return &found->second;
}

void TuningState::ApplyModelReady(const db::Event& event) {
  TaskState& task = tasks_[event.task_index];
  task.summary.model = event.model;
  if (task.summary.done) return;
  task.ranker = nullptr;
  task.ranker_missing = true;
  while (!task.news.empty() && task.news.front() <= event.through_sequence) task.news.pop_front();
  task.trained_on = task.summary.taught - static_cast<int>(task.news.size());
}

void TuningState::ApplyPaced(const db::Event& event) {
  const std::vector<double> factors = paces_.Set(event.device, event.pace);
  if (factors.empty()) return;
  for (TaskState& task : tasks_) {
    task.known.Scale(factors);
    task.own.Scale(factors);
    TakeBest(task);
    task.examples.Scale(factors);
    task.contenders.ForgetMeasured();
    for (const Example* example : task.examples.All()) {
      if (!std::isfinite(example->cost_seconds)) continue;
      task.contenders.Measured(example->point[0], example->cost_seconds);
    }
  }
}

void TuningState::TakeBest(TaskState& task) {
  const Fastest best = task.own.Best();
  task.summary.best_seconds = best.seconds;
  task.summary.best_trial = best.trial;
  task.summary.best_record_id = best.record_id;
}

absl::Status TuningState::ApplyProposed(const db::Event& event) {
  if (event.trial != trial_count_) {
    return Broken(event, absl::StrCat("proposes trial ", event.trial, ", expected ", trial_count_));
  }
  if (tasks_[event.task_index].summary.done) {
    return Broken(event, absl::StrCat("proposes for task ", event.task_index, ", which is done"));
  }
  absl::StatusOr<uint64_t> loop_hash = HashFromHex(event.loop_hash);
  if (!loop_hash.ok()) return Broken(event, loop_hash.status().message());

  TaskState& task = tasks_[event.task_index];
  Trial trial;
  trial.task_index = event.task_index;
  trial.loop_hash = *loop_hash;
  trial.config = event.config;
  trial.trace = event.trace;
  trial.explorer = event.explorer;
  // A log outlives the numbering of a space: such a trial is still measured by its trace and
  // never proposed again, but nothing is learned from it.
  if (absl::StatusOr<Point> point = task.space->Parse(event.config); point.ok()) {
    trial.point = *std::move(point);
    task.points.insert(HashPoint(trial.point));
    const bool is_searched = task.explorer->UsesModel() && IsOfExplorer(trial.explorer);
    task.contenders.Proposed(trial.point[0], is_searched);
  }
  task.loop_hashes.insert(trial.loop_hash);
  budget_.Propose(event.task_index);
  ++task.summary.proposed;
  ++task.summary.pending;
  pending_.emplace(trial_count_++, std::move(trial));
  return absl::OkStatus();
}

absl::Status TuningState::ApplyResult(const db::Event& event) {
  TESSERA_RETURN_IF_ERROR(PendingTrial(event).status());
  if (event.outcome == db::Outcome::kOk &&
      !(std::isfinite(event.cost_seconds) && event.cost_seconds > 0)) {
    return Broken(event, absl::StrCat("cost ", event.cost_seconds, " s is not a positive time"));
  }
  ++tasks_[event.task_index].summary.outcomes[static_cast<int>(event.outcome) % kOutcomeCount];
  Finish(event);
  return absl::OkStatus();
}

void TuningState::Finish(const db::Event& event) {
  Trial trial = std::move(pending_.extract(event.trial).mapped());
  TaskState& task = tasks_[trial.task_index];
  TaskSummary& summary = task.summary;
  ++summary.finished;
  --summary.pending;

  const bool ok = event.outcome == db::Outcome::kOk;
  const int device = ok ? paces_.NumberOf(event.device) : 0;
  const double cost_seconds = ok ? paces_.Comparable(device, event.cost_seconds) : kInfinity;
  const double best_before_seconds = task.best_seconds();
  if (ok) {
    task.own.Add(device, {cost_seconds, event.trial, event.record_id});
    TakeBest(task);
  }
  const bool tells = ok || db::IsCandidateFailure(event.outcome);
  if (tells && weighs_gains_) WeighResult(trial, cost_seconds);
  if (!tells || trial.point.empty() || summary.done) return;

  ++summary.taught;
  task.news.push_back(event.sequence);
  const double share = std::min(
      1.0, static_cast<double>(summary.finished) /
               static_cast<double>(std::max<int64_t>(1, budget_.Allotted(trial.task_index))));
  task.explorer->Observe(
      ViewOf(task, nullptr),
      {trial.point, ok, cost_seconds, share, trial.explorer, best_before_seconds},
      Rng(seed_).Fork(absl::StrCat("observe/", event.trial)));
  if (ok) task.contenders.Measured(trial.point[0], cost_seconds);
  task.examples.Add(std::move(trial.point), cost_seconds, device);
}

TaskView TuningState::ViewOf(const TaskState& task, const Ranker* ranker) {
  return {*task.space, ranker, task.examples, task.points, task.loop_hashes};
}

bool TuningState::Plans(int task_index) const {
  const TaskState& task = tasks_[task_index];
  return !task.summary.done && task.explorer->PlanSize() > 0;
}

void TuningState::WeighResult(const Trial& trial, double cost_seconds) {
  const int t = trial.task_index;
  const bool searched = !trial.point.empty();
  gains_.Add(t, cost_seconds, searched);
  if (!searched || tasks_[t].summary.done || gains_.HasLittleLeft(t)) return;
  gains_.Look(t, budget_.Left(t) + tasks_[t].summary.pending);
  if (gains_.HasLittleLeft(t)) budget_.End(t);
}

double TuningState::ExpectedGain(int task_index) const {
  if (!weighs_gains_) return 0;
  const TaskSummary& summary = tasks_[task_index].summary;
  if (summary.proposed < budget_.warm_up()) return kInfinity;
  const double gain = gains_.Expected(task_index, summary.pending, BatchSize(summary.proposed));
  if (std::isfinite(gain)) return gain;
  if (summary.pending == summary.proposed) return 0;  // its first results are on their way
  return int64_t{summary.proposed} * task_count() <= trial_count_ ? kInfinity : 0;
}

absl::StatusOr<std::vector<Proposal>> TuningState::Propose(int task_index, int count) const {
  const TaskState& task = tasks_[task_index];
  if (task.ranker_missing) {
    return absl::FailedPreconditionError(absl::StrCat(
        "task ", task_index, ": model ", task.summary.model, " has to be loaded before proposing"));
  }
  // Of a small budget the others have theirs first, then it goes by what they show.
  const int warm_up = budget_.warm_up() - static_cast<int>(task.summary.proposed);
  if (warm_up > 0) count = std::min(count, warm_up);
  if (Plans(task_index)) count = task.summary.pending > 0 ? 0 : task.explorer->PlanSize();
  count = static_cast<int>(std::min<int64_t>(count, budget_.Left(task_index)));
  if (count <= 0 || task.summary.done || cancelled_) return std::vector<Proposal>();
  Rng rng = Rng(seed_).Fork(absl::StrCat("propose/", task_index, "/", task.summary.proposed));

  std::vector<Point> in_flight;
  for (const auto& [number, trial] : pending_) {
    if (trial.task_index == task_index && !trial.point.empty()) in_flight.push_back(trial.point);
  }
  const ProposalView view = {*task.explorer,
                             ViewOf(task, task.ranker.get()),
                             task.contenders,
                             in_flight,
                             task.summary.proposed,
                             task.of_near_tasks,
                             task.ranker != nullptr && task.ranker == prior_ranker_};
  return ProposeBatch(view, count, options_.proposals, rng);
}

std::string TuningState::MissingModel(int task_index) const {
  const TaskState& task = tasks_[task_index];
  return task.ranker_missing ? task.summary.model : std::string();
}

void TuningState::SetRanker(int task_index, std::shared_ptr<const Ranker> ranker) {
  TaskState& task = tasks_[task_index];
  if (!task.ranker_missing) return;
  task.ranker_missing = false;
  if (ranker == nullptr) {
    // The lost model may have been fitted without the one that the job began with, because the
    // results spoke against that.
    task.summary.model.clear();
    task.trained_on = 0;
  }
  task.ranker = std::move(ranker);
}

std::optional<FitInput> TuningState::FitDue(int task_index) const {
  const TaskState& task = tasks_[task_index];
  const TaskSummary& summary = task.summary;
  // A model that no proposal will be made with is not trained.
  if (summary.done || budget_.Left(task_index) == 0 || !task.explorer->UsesModel()) return {};
  const double best_seconds = task.best_seconds();
  if (best_seconds == kInfinity) return {};
  const bool plans = Plans(task_index);
  if (plans && summary.pending > 0) return {};
  // Growth is of the job's own results. Among many known programs a few new ones change little, and
  // each fit takes long.
  const double growth =
      plans ? 1
            : std::max<double>({static_cast<double>(options_.first_fit),
                                (task.trained_on - summary.known) * options_.refit_growth,
                                summary.known * options_.known_growth});
  if (summary.taught - task.trained_on < growth) return {};
  FitInput input;
  input.through_sequence = last_sequence_;
  for (const Example* example : task.examples.All()) {
    input.known += example->number < summary.known ? 1 : 0;
    input.points.push_back(example->point);
    // x ÷ infinity: failures are 0.
    input.targets.push_back(static_cast<float>(best_seconds / example->cost_seconds));
  }
  return input;
}

const Trial* TuningState::pending(int64_t trial) const {
  const auto found = pending_.find(trial);
  return found == pending_.end() ? nullptr : &found->second;
}

std::vector<int64_t> TuningState::PendingTrials(int task_index) const {
  std::vector<int64_t> numbers;
  for (const auto& [number, trial] : pending_) {
    if (trial.task_index == task_index) numbers.push_back(number);
  }
  return numbers;
}

size_t TuningState::MemoryBytes() const {
  size_t bytes = 0;
  for (const auto& [number, trial] : pending_) {
    bytes += sizeof(number) + sizeof(trial) + trial.point.capacity() * sizeof(Point::value_type) +
             trial.config.capacity() + trial.trace.capacity() + trial.explorer.capacity();
  }
  for (const TaskState& task : tasks_) {
    bytes += sizeof(TaskState) + task.news.size() * sizeof(int64_t) + task.examples.MemoryBytes() +
             (task.loop_hashes.capacity() + task.points.capacity()) * (sizeof(uint64_t) + 1);
    for (const Point& point : task.of_near_tasks) {
      bytes += sizeof(Point) + point.capacity() * sizeof(Point::value_type);
    }
  }
  return bytes;
}

}  // namespace tessera::tuner
