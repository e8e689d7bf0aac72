#pragma once

#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::server {

// One answer that a handler waits for and the dispatcher gives. Thread-safe.
template <typename T>
class Answer {
 public:
  void Set(T value) {
    absl::MutexLock lock(&mutex_);
    value_ = std::move(value);
  }
  // Nothing once `is_cancelled` says so, which is asked every 100 ms, without the lock held.
  template <typename IsCancelled>
  std::optional<T> Await(IsCancelled is_cancelled) {
    for (;;) {
      std::optional<T> value = WaitFor(absl::Milliseconds(100));
      if (value || is_cancelled()) return value;
    }
  }

 private:
  // Nothing after `timeout`.
  std::optional<T> WaitFor(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](std::optional<T>* value) { return value->has_value(); }, &value_),
        timeout);
    return value_;
  }

  absl::Mutex mutex_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::server
