// What the dispatcher knows of devices that wait.

#include "server/dispatcher.h"

namespace tessera::server {

void Dispatcher::ObserveIdle() {
  IdleTime::Situation situation{.plans = leases_.JobsByDevice(), .building = {}, .storing = {}};
  for (const auto& [name, worker] : workers_) {
    if (!Speaks(worker, LongestSilence(Asked::kRoom))) continue;
    for (const db::Device& device : worker.hello.devices) {
      if (device.runs && devices_.Accepts(device.id)) situation.plans.try_emplace(device.id);
    }
  }
  // Built trials that no device has yet wait for their task's reference.
  for (const auto& [number, trial] : trials_) {
    if (trial.phase != Phase::kRunning) situation.building.insert(trial.request.job_id);
  }
  for (const auto& [attempt, result] : unacknowledged_) {
    situation.storing.insert(result.record.job_id);
  }
  idle_time_.Observe(situation, clock_.Now());
}

std::vector<db::RunnerTime> Dispatcher::RunnerTimes(int64_t job_id) {
  absl::MutexLock lock(&mutex_);
  return idle_time_.Of(job_id);
}

}  // namespace tessera::server
