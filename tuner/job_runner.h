#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "db/record/store.h"
#include "tuner/executor.h"
#include "tuner/inbox.h"
#include "tuner/learner.h"
#include "tuner/measurer.h"
#include "tuner/progress.h"
#include "tuner/state.h"

namespace tessera::tuner {

inline constexpr absl::Duration kPoll = absl::Seconds(1);

// What a runner works with. The references outlive the runner.
struct JobParts {
  std::vector<std::shared_ptr<const SearchSpace>> spaces;  // one a task
  std::shared_ptr<const Learner> learner;
  db::Store& store;
  Measurer& measurer;
  Executor& executor;  // fits models
  Clock& clock;
  // A runner that nothing wakes takes its next step after that much real time.
  absl::Duration poll = kPoll;
  std::shared_ptr<const Prior> prior;  // what the job knows before its first trial; null: nothing
};

// Drives one job: proposes, has measured, logs, learns, until every task has ended: its trials are
// used up, its space has no more programs, or little is left to gain. Then the task's fastest
// programs are compared with the incumbent (promotion.h), unless time is over.
// Nothing waits for anything else: a result is logged as it comes, devices are fed up to their
// appetite, models are fitted beside it; only explorers that plan (explorer.h) wait for results and
// a model. Every step that matters is an event in the store before it has any effect, so a runner
// that is dropped at any point is continued by the next one: trials without a result are handed out
// again, models are loaded and not trained again.
// While the store fails (a full disk) nothing is handed out; what comes back is kept, the store is
// tried again, and the job goes on once it takes the events. What does not pass by waiting
// (store_trouble.h), as damage and what the store refuses for its content, and a space that can't
// make its programs, fail a job.
//
// Thread safety: Progress, Cancel, Hungry and Wake may be called from any thread; the others from
// one. No lock is held during calls to the store, the measurer or the learner.
class JobRunner {
 public:
  // Folds the job's log. NotFound and DataLoss come from the store and the fold.
  static absl::StatusOr<std::unique_ptr<JobRunner>> Create(db::Job job, JobParts parts,
                                                           const SearchOptions& options = {});
  // Stops; the job stays as it is in the store and can be continued.
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Runs Step in a thread of its own until the job has ended or Stop is called.
  void Start();
  void Stop();
  // Until the job has ended or the thread was stopped.
  void Wait();

  // Without Start: one round of log, learn, feed. False once the job has ended. For simulation.
  bool Step();

  // Ends the job as kCancelled in the next step. Results that come later are dropped.
  void Cancel();
  // Looks at the appetite of devices now instead of at the next poll.
  void Wake() { inbox_->Wake(); }

  std::shared_ptr<const JobProgress> Progress() const;
  // The last step left trials that it would have handed out, had there been appetite for them.
  bool Hungry() const { return hungry_; }

 private:
  struct TaskRun {
    std::deque<int64_t> ready;  // proposed and at nobody's, next first
    int in_flight = 0;
    bool fitting = false;
    int fit_failed_at = -1;       // taught results when the last fit failed
    bool builds_on_prior = true;  // its model, where the job began with one of other tasks
    bool comparing = false;
    bool contested = false;  // a comparison was begun, or there was nothing to compare
    int comparisons_given_back = 0;
    std::string not_compared;  // why there is no verdict though there should be one
  };
  // What came in and is not in the log yet.
  struct Unlogged {
    std::vector<db::Record> records;
    std::vector<db::Event> results;  // one a record
    std::vector<db::Event> given_back;
    std::deque<Fitted> fits;
    std::deque<std::pair<int, db::Comparison>> comparisons;  // with their task
  };

  JobRunner(db::Job job, JobParts parts, TuningState state);

  absl::Status Resume();
  absl::Status LoadModels();
  // Once for each change, and after a restart.
  void ReportPrior(int task_index, bool builds_on_prior);
  absl::Status Advance();
  absl::Status Settle();
  void Take(Measured measured);
  absl::Status LogResults();
  absl::Status StoreModel(const Fitted& fitted);
  void DropModel(int task_index, const std::string& digest);
  absl::Status CloseFinishedTasks();
  // Of a task that proposes no more: has its fastest programs compared with the incumbent, once.
  // Whether that is under way.
  absl::StatusOr<bool> CompareFastest(int task_index);
  // The job's latest comparison of that task if it was killed before it could log it: it has made
  // more than tasks of that key, two of which may be one workload, were told of.
  absl::StatusOr<std::optional<db::Comparison>> FindUnlogged(std::string_view key,
                                                             std::string_view device_class) const;
  void Take(Compared compared);
  absl::Status LogComparisons();
  // Which tasks have no verdict, and why, in words for people; empty if none lacks it.
  std::string NotCompared() const;
  // Why the task is done; empty where its trials are used up, nothing while it is not done.
  std::optional<std::string> ReasonToEnd(int task_index) const;
  // What has become known of the devices' paces.
  absl::Status LogPaces();
  absl::Status Feed();
  void HandOut(int task_index);
  // Which tasks no connected device takes, and why; empty if each has one.
  std::string MissingDevices() const;
  void StartFits();
  absl::Status Log(absl::Span<const db::Record> records, std::vector<db::Event> events);
  db::Event NewEvent(db::EventKind kind, int task_index) const;
  db::Event TaskDone(int task_index, std::string reason) const;
  // Passes the status of a call to the store on, and notes trouble that may pass.
  absl::Status FromStore(const absl::Status& status, std::string_view what);
  absl::Status End(db::JobState state, std::string message);
  absl::Status EndDone();
  void Publish();

  db::Job job_;
  JobParts parts_;
  TuningState state_;
  std::vector<TaskRun> runs_;
  absl::flat_hash_set<int64_t> in_flight_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  Unlogged unlogged_;
  std::deque<absl::Time> recent_results_;
  std::string last_failure_;
  absl::Status store_trouble_;  // of this step
  uint64_t revision_ = 0;
  bool changed_ = true;  // what Progress says, since the last Publish
  absl::Time published_;
  std::atomic<bool> hungry_ = false;
  std::string missing_devices_;
  bool stalled_ = false;  // store_trouble_ in the last step
  bool ended_ = false;
  bool out_of_time_ = false;
  std::atomic<bool> cancel_requested_ = false;
  std::atomic<bool> stop_requested_ = false;
  std::thread thread_;

  mutable absl::Mutex progress_mutex_;
  std::shared_ptr<const JobProgress> progress_ ABSL_GUARDED_BY(progress_mutex_);
};

}  // namespace tessera::tuner
