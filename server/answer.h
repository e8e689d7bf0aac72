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
  // Nothing after `timeout`.
  std::optional<T> WaitFor(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(
        absl::Condition(
            +[](std::optional<T>* value) { return value->has_value(); }, &value_),
        timeout);
    return value_;
  }

 private:
  absl::Mutex mutex_;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::server
