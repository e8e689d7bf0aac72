#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "db/record/store.h"
#include "proto/session.h"
#include "tuner/executor.h"
#include "tuner/job_runner.h"
#include "tuner/learner.h"
#include "tuner/measurer.h"
#include "tuner/search_space.h"

namespace tessera::server {

// Makes what a search needs; injected, so that tests search a toy space.
struct SearchFactory {
  // InvalidArgument for a task that has no space.
  std::function<absl::StatusOr<std::shared_ptr<const tuner::SearchSpace>>(const db::Task&)> space;
  // By name of the cost model and seed. InvalidArgument lists the known names.
  std::function<absl::StatusOr<std::shared_ptr<const tuner::Learner>>(std::string_view, uint64_t)>
      learner;
};

// Keeps one JobRunner for each unfinished job. Thread-safe; the store and runners are called
// without a lock held.
class JobManager {
 public:
  // All references outlive the manager.
  JobManager(db::Store& store, tuner::Measurer& measurer, Clock& clock, SearchFactory factory);
  // Stops the runners; their jobs stay unfinished and are continued by the next ResumeUnfinished.
  ~JobManager();

  // Goes on with every job that is queued or running. A job that can't be continued becomes kFailed
  // with the reason.
  absl::Status ResumeUnfinished();

  // Checks, stores and starts a job; with an idempotency key that exists returns that job's id. A
  // job that was stored and can't be started becomes kFailed with the reason, which is returned.
  absl::StatusOr<int64_t> Create(db::Job job);
  // NotFound; FailedPrecondition when it has ended.
  absl::Status Cancel(int64_t id);
  // Of running jobs live, of ended ones from the log. NotFound.
  absl::StatusOr<proto::JobProgress> Progress(int64_t id);

  // Devices may take more than before.
  void Wake();
  // Forgets runners whose job has ended.
  void Reap();

 private:
  // What a runner works with, made for the tasks and options of `job`.
  struct Prepared {
    db::Job job;
    tuner::JobParts parts;
  };

  absl::StatusOr<tuner::JobParts> MakeParts(const db::Job& job);
  // Runs a stored job unless it runs already or has ended; if that fails the job is kFailed:
  // "can't be <what>: …". What is prepared is used if it is for the stored tasks and options.
  absl::Status Run(int64_t id, std::string_view what,
                   std::optional<Prepared> prepared = std::nullopt);
  absl::StatusOr<std::shared_ptr<tuner::JobRunner>> MakeRunner(int64_t id,
                                                               std::optional<Prepared> prepared);
  std::shared_ptr<tuner::JobRunner> Find(int64_t id);
  absl::StatusOr<proto::JobProgress> ProgressFromLog(int64_t id);

  db::Store& store_;
  tuner::Measurer& measurer_;
  Clock& clock_;
  const SearchFactory factory_;
  tuner::BackgroundExecutor executor_;
  absl::Mutex mutex_;
  // A null runner is being made.
  std::map<int64_t, std::shared_ptr<tuner::JobRunner>> runners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::server
