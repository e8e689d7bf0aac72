#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
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
  // From a job's start until its model is measured, and between two measurements of whatever model:
  absl::Duration pause = absl::Seconds(20);  // at least this,
  double pause_times = 10;                   // and as many times what the one before took
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
  // measured, of several the one that waits longest. What can't be measured is logged, and tried
  // again in its turn. Blocks until that is done, the job has ended, or `is_stopping` says so. Call
  // it every second or so.
  void Tend(const std::function<bool()>& is_stopping);

 private:
  struct Watched {
    db::Job job;  // without tasks
    absl::Time due;
    std::string failure;  // of the last attempt
  };
  void Watch(const std::vector<int64_t>& running);
  // The progress of that which is due; nullopt where none is.
  std::optional<proto::JobProgress> FindDue();
  void Finish(int64_t job, const absl::StatusOr<proto::ModelTime>& time);
  absl::StatusOr<proto::ModelTime> Measure(const db::Job& job,
                                           const std::function<bool()>& is_cancelled);

  const LibraryRoom room_;
  JobManager& jobs_;
  Clock& clock_;
  const ModelTimesOptions options_;
  std::map<int64_t, Watched> watched_;  // by job; of Tend alone, as the next
  absl::Time next_ = absl::InfinitePast();
  mutable absl::Mutex mutex_;
  std::map<int64_t, proto::ModelTime> latest_ ABSL_GUARDED_BY(mutex_);  // by job
};

}  // namespace tessera::server
