#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "db/record/record.h"
#include "tuner/measurer.h"

namespace tessera::tuner {

// A measurer is done with a trial.
struct Measured {
  int64_t trial;
  db::Record record;
};

// A fit came to an end.
struct Fitted {
  int task_index;
  int64_t through_sequence;
  absl::StatusOr<std::string> model;
};

// A comparison came to an end.
struct Compared {
  int task_index;
  std::vector<db::Record> programs;
  absl::StatusOr<ComparisonRun> run;
};

using Completion = std::variant<Measured, Fitted, Compared>;

// Where other threads leave what they finished for a job's runner. Shared with them, so that they
// may outlive the runner; once closed it drops what is put in. Thread-safe.
class Inbox {
 public:
  void Put(Completion completion) {
    absl::MutexLock lock(&mutex_);
    if (!closed_) items_.push_back(std::move(completion));
  }

  std::vector<Completion> Drain() {
    absl::MutexLock lock(&mutex_);
    woken_ = false;
    return std::exchange(items_, {});
  }

  // Until there is something, Wake or Close was called, or the time is over.
  void Wait(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return woken_ || closed_ || !items_.empty();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&due), timeout);
  }

  void Wake() {
    absl::MutexLock lock(&mutex_);
    woken_ = true;
  }

  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    items_.clear();
  }

  bool closed() const {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Completion> items_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera::tuner
