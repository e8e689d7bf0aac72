#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tessera::agent {

// Shares a host's cores between building and timing, so that nothing compiles where something is
// timed. Timing takes the last cores, building the others; as many cores as the latest timed run
// used stay reserved for the next one. When a run wants every core, builds that began are finished
// first, and no new one begins until the run is over. Thread-safe.
class HostArbiter {
 public:
  // Cores held until destruction.
  class Grant {
   public:
    Grant(Grant&& other) noexcept
        : arbiter_(std::exchange(other.arbiter_, nullptr)),
          cores_(std::move(other.cores_)),
          timing_(other.timing_) {}
    Grant& operator=(Grant&&) = delete;
    ~Grant() {
      if (arbiter_ != nullptr) arbiter_->Release(*this);
    }
    const std::vector<int>& cores() const { return cores_; }

   private:
    friend class HostArbiter;
    Grant(HostArbiter* arbiter, std::vector<int> cores, bool timing)
        : arbiter_(arbiter), cores_(std::move(cores)), timing_(timing) {}
    HostArbiter* arbiter_;
    std::vector<int> cores_;
    bool timing_;
  };

  // `cores`: numbers of the cores to share, at least one. `times`: whether anything is timed here.
  HostArbiter(std::vector<int> cores, bool times);

  // Blocks until there is a core to compile on; nothing after Stop.
  std::optional<Grant> AcquireBuild();
  // Blocks until `count` cores (at most all) are idle; nothing after Stop. One run at a time.
  std::optional<Grant> AcquireTiming(int count);
  // Wakes all waiters for good.
  void Stop();

  // Runs that wait for their cores.
  int timing_waiting() const {
    absl::MutexLock lock(&mutex_);
    return timing_waiting_;
  }
  int core_count() const { return static_cast<int>(cores_.size()); }

 private:
  void Release(const Grant& grant);
  int FreeBuildCore() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // index, or -1
  bool IdleFrom(int first) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<int> cores_;
  mutable absl::Mutex mutex_;
  std::vector<bool> busy_ ABSL_GUARDED_BY(mutex_);  // by index into cores_
  int reserved_ ABSL_GUARDED_BY(mutex_);            // cores at the end that builds leave alone
  int timing_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  bool timing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera::agent
