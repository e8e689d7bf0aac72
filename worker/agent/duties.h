#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/session.h"

namespace tessera::agent {

using BuildDuty = std::variant<proto::BuildRequest, proto::LibraryRequest>;
using RunDuty = std::variant<proto::RunPlan, proto::ModelPlan>;

// Everything that the server gave this worker and has not taken back: requests that wait, what is
// under way, and results until they are acknowledged. Survives reconnects; its fences are what the
// worker states that it holds. Thread-safe.
class Duties {
 public:
  void Add(BuildDuty duty);
  void Add(RunDuty duty);
  // What waits is forgotten; what is under way will have no result. Whether it was under way.
  bool Cancel(uint64_t fence);
  void Acknowledge(uint64_t fence);

  // Block until there is work, which counts as under way from then on; nothing after Stop.
  std::optional<BuildDuty> NextBuild();
  std::optional<RunDuty> NextRun();
  // What was under way has ended. False when it had been cancelled: then nothing is to be sent.
  bool Finish(uint64_t fence, proto::WorkerMessage result);
  bool IsUnderWay(uint64_t fence) const;
  std::vector<uint64_t> UnderWay() const;

  std::vector<uint64_t> Held() const;
  // Results that the server has not acknowledged, oldest first.
  std::vector<proto::WorkerMessage> Unacknowledged() const;
  void Stop();

 private:
  mutable absl::Mutex mutex_;
  std::deque<BuildDuty> builds_ ABSL_GUARDED_BY(mutex_);
  std::deque<RunDuty> runs_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> under_way_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, proto::WorkerMessage> results_ ABSL_GUARDED_BY(mutex_);  // by fence
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

uint64_t FenceOf(const BuildDuty& duty);
uint64_t FenceOf(const RunDuty& duty);

}  // namespace tessera::agent
