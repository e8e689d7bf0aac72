#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "tuner/contenders.h"
#include "tuner/examples.h"
#include "tuner/explorer.h"
#include "tuner/job_gains.h"
#include "tuner/learner.h"
#include "tuner/paces.h"
#include "tuner/prior.h"
#include "tuner/proposer.h"
#include "tuner/search_space.h"
#include "tuner/task_scheduler.h"
#include "tuner/trial_budget.h"

namespace tessera::tuner {

inline constexpr int kOutcomeCount = 8;

// What the search may be turned by. Part of the state: the same log under other options gives
// other proposals.
struct SearchOptions {
  ProposalOptions proposals;
  int max_given_back = 8;  // lost leases of a trial until the next one is a failure
  int first_fit = 8;       // results before the first model
  // A refit is due when results grew by this share (at least first_fit).
  double refit_growth = 0.25;
  double known_growth = 1.0 / 32;  // and by this share of the programs known before
  ExampleLimits examples;          // what models are trained on
  int rivals = 4;  // of the incumbent, when a budget is used up; 0: none is compared
};

// A trial without a final result.
struct Trial {
  int task_index = 0;
  Point point;  // empty if the config is no longer one of the space's
  uint64_t loop_hash = 0;
  int given_back = 0;  // leases lost untried
  std::string config, trace, explorer;
};

// What a model is to be trained on: examples of the results up to a sequence number.
struct FitInput {
  int64_t through_sequence = 0;
  std::vector<Point> points;
  std::vector<float> targets;  // as TrainingSet
  size_t known = 0;            // so many, the first, were measured before the job
};

// What is known about one task.
struct TaskSummary {
  int proposed = 0;
  int finished = 0;
  int pending = 0;          // proposed − finished
  int taught = 0;           // results that models may learn from, and known ones
  int known = 0;            // programs that were measured before the job
  bool done = false;        // the log says so
  std::string end_reason;   // why, where it is not that its trials are used up
  double best_seconds = 0;  // comparable (paces.h); infinity before the first success
  int64_t best_record_id = 0;
  int64_t best_trial = -1;
  int64_t promoted = 0;  // record that a comparison left as the fastest; 0: none was made
  std::array<int, kOutcomeCount> outcomes{};  // finished trials and infrastructure failures
  std::string model;                          // digest, empty before the first
};

// What a job begins with beside its tasks: what is known of them (not the time of the default
// schedule, unless it is a program of the space: it is measured in each job, as the yardstick of
// what the job gains), and the ranker of its prior's model, null where it has none.
struct Beginning {
  std::shared_ptr<const Prior> prior;  // null: nothing is known
  std::shared_ptr<const Ranker> ranker;
};

// The search of one job as a fold over its event log (architecture, decision 8). Nothing else
// enters: the same job, spaces, options, beginning and events give the same proposals, bit for bit,
// whether the events came from devices, from the store after a restart, or from a recording.
// Times of several devices are compared by what is known of their paces. When that changes, so do
// the costs of what was measured, except of what explorers and expected gains made of it by then.
// Invariants: trials are numbered from 0 in log order; no loop hash is proposed twice in a task; a
// finished trial leaves two hashes behind and, of a bounded number of them, an example; a task that
// is done leaves its summary. Thread-compatible.
class TuningState {
 public:
  // One space a task. InvalidArgument for an unknown explorer or scheduler, or a wrong number of
  // spaces or tasks of the prior.
  static absl::StatusOr<TuningState> Create(const db::Job& job,
                                            std::vector<std::shared_ptr<const SearchSpace>> spaces,
                                            const SearchOptions& options = {},
                                            const Beginning& beginning = {});

  // Folds the next event. DataLoss, naming the sequence number and what is wrong, for one that
  // does not continue the log.
  absl::Status Apply(const db::Event& event);

  // The next proposals of a task: at most `count` (a plan of an explorer that plans), at most what
  // the budget leaves it, all with loop hashes never proposed before. Fewer, or none, when the
  // space has run dry; none while a plan is under way. A pure function of the folded log.
  // FailedPrecondition while the task's model has not been set.
  absl::StatusOr<std::vector<Proposal>> Propose(int task_index, int count) const;

  // Whether the task's explorer plans (explorer.h): it is to be asked for proposals when nothing of
  // the task is pending and no model is being fitted.
  bool Plans(int task_index) const;

  // The digest of the model that the log names last and that SetRanker has not been called for;
  // empty if there is none to load.
  std::string MissingModel(int task_index) const;
  // Of the missing model, if there is one. Null: it can't be read; the task goes on without any,
  // and a refit is due.
  void SetRanker(int task_index, std::shared_ptr<const Ranker> ranker);
  // What to fit on now, if enough has been learned since the last model.
  std::optional<FitInput> FitDue(int task_index) const;

  // Which task gets the next trial is the scheduler's to say.
  const TaskScheduler& scheduler() const { return *scheduler_; }
  // Whose trials they are; of a task that HasLittleLeft: ended.
  const TrialBudget& budget() const { return budget_; }
  const Paces& paces() const { return paces_; }
  // What the next batch of the task is expected to save of the job's Σ weight × best, in seconds.
  // Infinity for one that has yet to show what it can: until its warm-up is over, and for one
  // without a success as long as it has had no more trials than the others. 0 where nobody asks:
  // where budgets are not shared, or the job has one task.
  double ExpectedGain(int task_index) const;
  // The job goes on without proposing for the task, from which nearly nothing is to be gained.
  bool HasLittleLeft(int task_index) const {
    return weighs_gains_ && gains_.HasLittleLeft(task_index);
  }

  int task_count() const { return static_cast<int>(tasks_.size()); }
  const TaskSummary& task(int task_index) const { return tasks_[task_index].summary; }
  int64_t trial_count() const { return trial_count_; }  // proposed so far
  // Null for one that has its result, was given up, or was never proposed. Until the next Apply.
  const Trial* pending(int64_t trial) const;
  std::vector<int64_t> PendingTrials(int task_index) const;  // ascending
  int64_t next_sequence() const { return last_sequence_ + 1; }
  bool cancelled() const { return cancelled_; }
  const SearchOptions& options() const { return options_; }

  // Bytes held on the heap, estimated from below.
  size_t MemoryBytes() const;

 private:
  struct TaskState {
    explicit TaskState(Examples none, absl::Span<const double> sketch_work = {});
    double best_seconds() const { return std::min(summary.best_seconds, known.Best().seconds); }
    std::shared_ptr<const SearchSpace> space;
    std::unique_ptr<Explorer> explorer;
    std::shared_ptr<const Ranker> ranker;
    bool ranker_missing = false;
    int trained_on = 0;        // taught results that the model has seen
    std::deque<int64_t> news;  // sequence numbers of those that came later
    Examples examples;
    Contenders contenders;
    absl::flat_hash_set<uint64_t> loop_hashes;
    absl::flat_hash_set<uint64_t> points;
    std::vector<Point> of_near_tasks;
    FastestOfDevices known;  // before the job
    FastestOfDevices own;    // of its trials
    TaskSummary summary;
  };

  TuningState(const db::Job& job, const SearchOptions& options,
              std::unique_ptr<const TaskScheduler> scheduler);
  // What a task begins with. Programs that are no longer of the space teach nothing.
  void Begin(TaskState& task, const TaskPrior& prior);
  absl::Status ApplyProposed(const db::Event& event);
  absl::Status ApplyResult(const db::Event& event);
  void ApplyModelReady(const db::Event& event);
  void ApplyPaced(const db::Event& event);
  void Finish(const db::Event& event);
  static void TakeBest(TaskState& task);
  // The trial that the event is about; DataLoss if that can't be.
  absl::StatusOr<Trial*> PendingTrial(const db::Event& event);
  void WeighResult(const Trial& trial, double cost_seconds);
  Examples NoExamples() const { return {options_.examples, seed_}; }
  static TaskView ViewOf(const TaskState& task, const Ranker* ranker);

  uint64_t seed_ = 0;
  SearchOptions options_;
  std::shared_ptr<const Ranker> prior_ranker_;  // null: none
  Paces paces_;
  std::unique_ptr<const TaskScheduler> scheduler_;
  TrialBudget budget_;
  bool weighs_gains_ = false;
  JobGains gains_;  // if weighs_gains_
  std::vector<TaskState> tasks_;
  int64_t trial_count_ = 0;
  std::map<int64_t, Trial> pending_;
  int64_t last_sequence_ = 0;
  bool cancelled_ = false;
};

}  // namespace tessera::tuner
