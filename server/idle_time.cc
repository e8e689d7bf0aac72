#include "server/idle_time.h"

#include <algorithm>

namespace tessera::server {

using db::RunnerPhase;

void IdleTime::DeviceTime::Book(absl::Time now) {
  const double passed = absl::ToDoubleSeconds(now - since);
  since = now;
  if (phase == RunnerPhase::kWorker) {
    with_plans += passed;
  } else if (phase) {
    waits.Of(*phase) += passed;
  }
}

void IdleTime::DeviceTime::Enter(std::optional<RunnerPhase> next, absl::Time now) {
  // How much of a plan's time was its run is known when it ends.
  if (phase == next) return;
  Book(now);
  phase = next;
  if (next == RunnerPhase::kWorker) {
    for (size_t p = 0; p < waits.seconds.size(); ++p) counted.seconds[p] += waits.seconds[p];
  }
  if (!next || next == RunnerPhase::kWorker) waits = {};
}

void IdleTime::Observe(const Situation& situation, absl::Time now) {
  for (const auto& [device, jobs] : situation.plans) {
    for (int64_t job : jobs) {
      if (job != 0) jobs_[job].devices[device];
    }
  }
  for (auto& [id, job] : jobs_) {
    if (job.ended) continue;
    for (auto& [name, device] : job.devices) {
      const auto there = situation.plans.find(name);
      if (there == situation.plans.end()) {
        device.Enter(std::nullopt, now);
      } else if (there->second.contains(id)) {
        device.Enter(RunnerPhase::kWorker, now);
      } else if (!device.phase) {
        continue;  // back, but nothing of the job has come there since
      } else if (!there->second.empty()) {
        device.Enter(RunnerPhase::kOthers, now);
      } else if (situation.building.contains(id)) {
        device.Enter(RunnerPhase::kBuild, now);
      } else {
        device.Enter(situation.storing.contains(id) ? RunnerPhase::kStore : RunnerPhase::kProposal,
                     now);
      }
    }
  }
}

void IdleTime::Ran(int64_t job, std::string_view device, double seconds, absl::Time now) {
  for (auto& [id, other] : jobs_) {
    if (other.ended) continue;
    const auto found = other.devices.find(device);
    if (found == other.devices.end() || found->second.phase != RunnerPhase::kWorker) continue;
    DeviceTime& time = found->second;
    time.Book(now);
    double& booked = id == job ? time.ran : time.ran_for_others;
    booked = std::clamp(booked + seconds, booked, time.with_plans);
  }
}

void IdleTime::End(int64_t job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end() || it->second.ended) return;
  it->second.ended = true;
  ended_.push_back(job);
  if (ended_.size() <= kMaxEndedJobs) return;
  jobs_.erase(ended_.front());
  ended_.pop_front();
}

std::vector<db::RunnerTime> IdleTime::Of(int64_t job) const {
  std::vector<db::RunnerTime> times;
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return times;
  for (const auto& [name, device] : it->second.devices) {
    db::RunnerTime& time = times.emplace_back(device.counted);
    time.device = name;
    const double others = std::min(device.ran_for_others, device.with_plans - device.ran);
    time.Of(RunnerPhase::kRun) = device.ran;
    time.Of(RunnerPhase::kOthers) += others;
    time.Of(RunnerPhase::kWorker) = device.with_plans - device.ran - others;
  }
  return times;
}

}  // namespace tessera::server
