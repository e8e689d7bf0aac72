#include "worker/agent/host_arbiter.h"

#include <algorithm>

#include "base/status.h"

namespace tessera::agent {

HostArbiter::HostArbiter(std::vector<int> cores, bool times)
    : cores_(std::move(cores)), busy_(cores_.size(), false), reserved_(times ? 1 : 0) {
  TESSERA_CHECK(!cores_.empty());
}

int HostArbiter::FreeBuildCore() const {
  int end = core_count() - reserved_;
  if (end <= 0) {
    // Runs use every core: build only in their absence.
    if (timing_ || timing_waiting_ > 0) return -1;
    end = core_count();
  }
  for (int i = 0; i < end; ++i) {
    if (!busy_[i]) return i;
  }
  return -1;
}

bool HostArbiter::IdleFrom(int first) const {
  return std::none_of(busy_.begin() + first, busy_.end(), [](bool busy) { return busy; });
}

std::optional<HostArbiter::Grant> HostArbiter::AcquireBuild() {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || FreeBuildCore() >= 0;
  };
  mutex_.Await(absl::Condition(&ready));
  if (stopped_) return std::nullopt;
  const int core = FreeBuildCore();
  busy_[core] = true;
  return Grant(this, {cores_[core]}, false);
}

std::optional<HostArbiter::Grant> HostArbiter::AcquireTiming(int count) {
  absl::MutexLock lock(&mutex_);
  const int wanted = std::clamp(count, 1, core_count());
  const int first = core_count() - wanted;
  reserved_ = wanted;
  ++timing_waiting_;
  const auto ready = [this, first]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || (!timing_ && IdleFrom(first));
  };
  mutex_.Await(absl::Condition(&ready));
  --timing_waiting_;
  if (stopped_) return std::nullopt;
  timing_ = true;
  std::fill(busy_.begin() + first, busy_.end(), true);
  return Grant(this, {cores_.begin() + first, cores_.end()}, true);
}

void HostArbiter::Release(const Grant& grant) {
  absl::MutexLock lock(&mutex_);
  for (int core : grant.cores_) {
    busy_[std::find(cores_.begin(), cores_.end(), core) - cores_.begin()] = false;
  }
  if (grant.timing_) timing_ = false;
}

void HostArbiter::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace tessera::agent
