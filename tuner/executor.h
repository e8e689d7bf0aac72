#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::tuner {

// Runs work that nothing waits for (model fits). Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Submit(std::function<void()> work) = 0;
};

// At once, in the caller's thread: for simulation and replay.
class InlineExecutor final : public Executor {
 public:
  void Submit(std::function<void()> work) override { work(); }
};

// One thread for all jobs of a server, first come first served. The destructor drops what has not
// begun and waits for what has.
class BackgroundExecutor final : public Executor {
 public:
  BackgroundExecutor();
  ~BackgroundExecutor() override;
  void Submit(std::function<void()> work) override;

 private:
  void Run();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera::tuner
