#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "db/record/record.h"
#include "proto/session.h"
#include "server/jobs.h"
#include "server/libraries.h"

namespace tessera::server {

struct ModelTimesOptions {
  // From a job's start until its model is measured, and until it is measured again: at least this,
  absl::Duration pause = absl::Minutes(1);
  double pause_times = 10;  // and as many times what measuring took
};

// What runs of models take while jobs tune their kernels: measured now and then on a device, with
// the records chosen that a library would have by then. Thread-safe, but for Tend.
class ModelTimes {
 public:
  // What `room` refers to, `jobs` and `clock` outlive this.
  ModelTimes(LibraryRoom room, JobManager& jobs, Clock& clock, ModelTimesOptions options)
      : room_(room), jobs_(jobs), clock_(clock), options_(options) {}

  // Of a job's model the last, as long as the server runs; nullopt where it wasn't measured.
  std::optional<proto::ModelTime> Latest(int64_t job) const;

  // Measures the model of one running job, if any is due: one all of whose kernels have been
  // measured. What can't be measured is logged, and tried again after a pause. Blocks until that is
  // done, the job has ended, or `is_stopping` says so. Call it every second or so.
  void Tend(const std::function<bool()>& is_stopping);

 private:
  struct Watched {
    db::Job job;  // without tasks
    absl::Time due;
  };
  void Watch(const std::vector<int64_t>& running);
  absl::StatusOr<proto::ModelTime> Measure(const db::Job& job,
                                           const std::function<bool()>& is_cancelled);

  const LibraryRoom room_;
  JobManager& jobs_;
  Clock& clock_;
  const ModelTimesOptions options_;
  std::map<int64_t, Watched> watched_;  // by job; of Tend alone
  mutable absl::Mutex mutex_;
  std::map<int64_t, proto::ModelTime> latest_ ABSL_GUARDED_BY(mutex_);  // by job
};

}  // namespace tessera::server
