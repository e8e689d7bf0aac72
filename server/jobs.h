#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "db/record/store.h"
#include "proto/session.h"
#include "server/turns.h"
#include "tuner/cost_model_learner.h"
#include "tuner/executor.h"
#include "tuner/job_runner.h"
#include "tuner/learner.h"
#include "tuner/measurer.h"
#include "tuner/prior_maker.h"
#include "tuner/search_space.h"

namespace tessera::server {

// Makes what a search needs; injected, so that tests search a toy space.
struct SearchFactory {
  // Of a task, a job's pins and what it allows. InvalidArgument, naming the task, where it has no
  // space, or none within the pins.
  std::function<absl::StatusOr<std::shared_ptr<const tuner::SearchSpace>>(
      const db::Task&, std::string_view, std::string_view)>
      space;
  // By name of the cost model, seed and model of other tasks. InvalidArgument lists the known
  // names.
  std::function<absl::StatusOr<std::shared_ptr<const tuner::Learner>>(std::string_view, uint64_t,
                                                                      const tuner::SavedModel&)>
      learner;
};

// Each unfinished job costs a thread and the memory of its search.
inline constexpr int kMaxUnfinishedJobs = 256;

// Keeps one JobRunner for each unfinished job. A job that can't be run because the store is in
// trouble waits here without one and is tried again. Thread-safe; the store and runners are called
// without a lock held.
class JobManager {
 public:
  // All references outlive the manager. `poll`: as of tuner::JobParts.
  JobManager(db::Store& store, tuner::Measurer& measurer, Clock& clock, SearchFactory factory,
             absl::Duration poll = tuner::kPoll);
  // Stops the runners; their jobs stay unfinished and are continued by the next ResumeUnfinished.
  ~JobManager();

  // Goes on with every job that is queued or running, now or once the store lets it. A job that
  // can't be continued for what it or its log is becomes kFailed with the reason.
  absl::Status ResumeUnfinished();

  // Checks, stores and starts a job; with an idempotency key that exists returns that job's id. A
  // job that was stored and can't be started becomes kFailed with the reason, which is returned;
  // one that only the store's trouble delays is as good as started. ResourceExhausted for a new
  // job while kMaxUnfinishedJobs have not ended.
  absl::StatusOr<int64_t> Create(db::Job job);
  // Whether it has a runner or not. NotFound; FailedPrecondition when it has ended.
  absl::Status Cancel(int64_t id);
  // Of running jobs live, of others from the log. NotFound.
  absl::StatusOr<proto::JobProgress> Progress(int64_t id);
  // Ids of jobs that run and have not ended, ascending. Cheap.
  std::vector<int64_t> Running();
  // What an unfinished job has to say, such as what it waits for; empty of others. Cheap.
  std::string Remark(int64_t id);
  // Differs from what it was when Progress may say something new. Cheap.
  using Version = std::pair<uint64_t, uint64_t>;
  Version ProgressVersion(int64_t id);

  // Devices may take more than before.
  void Wake();
  // Forgets runners whose job has ended, and tries one job again that waits for the store. May wait
  // for the store itself. Call it a few times a second.
  void Tend();

 private:
  // A job that has not ended.
  struct Entry {
    std::shared_ptr<tuner::JobRunner> runner;  // null: being made, or waits for the store
    std::vector<std::string> task_keys;        // with a runner
    bool busy = false;    // some thread makes the runner or stores the end; others keep off
    bool cancel = false;  // asked for meanwhile
    std::string what;     // "started", "continued"
    std::string failure;  // not empty: what it has failed of, to be stored
    std::string trouble;  // of the store; what it waits for
    absl::Time next_try;  // while it waits
    uint64_t version = 0;
  };

  // One trial came back: the next job, in turn, that waits for devices looks at them again.
  void WakeNext();
  absl::StatusOr<int64_t> CreateChecked(db::Job job);
  // With its prior; runs it.
  absl::StatusOr<int64_t> StoreJob(const db::Job& job, tuner::JobParts parts);
  absl::StatusOr<tuner::JobParts> MakeParts(const db::Job& job);
  // Gives parts what the job's prior says, and their learner.
  absl::Status TakePrior(const db::Job& job, tuner::JobParts& parts);
  // Runs a stored job unless somebody is at it or it has ended; if it can't be run for what it is,
  // the job is kFailed: "can't be <what>: …". `parts` are those of the stored tasks and options,
  // made here if absent.
  absl::Status Run(int64_t id, std::string_view what,
                   std::optional<tuner::JobParts> parts = std::nullopt);
  // Of an entry that the caller has made busy. Fails only with what fails the job.
  absl::Status TryToRun(int64_t id, std::optional<tuner::JobParts> parts);
  // Fills `entry`'s runner and keys; leaves them empty for a job that has ended.
  absl::Status MakeRunner(int64_t id, std::optional<tuner::JobParts> parts, Entry& entry);
  absl::Status CancelStored(int64_t id);
  // Of a job that has no runner.
  absl::Status EndStored(int64_t id, db::JobState state, std::string_view message);
  // Lets an entry that was busy wait for the store.
  void LetWait(int64_t id, Entry& entry, const absl::Status& trouble)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(int64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<proto::JobProgress> ProgressFromLog(int64_t id);

  db::Store& store_;
  Turns turns_;
  Clock& clock_;
  const SearchFactory factory_;
  tuner::PriorMaker priors_;
  const absl::Duration poll_;
  tuner::BackgroundExecutor executor_;
  absl::Mutex mutex_;
  std::map<int64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int creating_ ABSL_GUARDED_BY(mutex_) = 0;  // jobs without an entry yet
  int64_t last_woken_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // of entries
};

}  // namespace tessera::server
