#include "worker/agent/duties.h"

#include <utility>

namespace tessera::agent {

uint64_t FenceOf(const BuildDuty& duty) {
  return std::visit([](const auto& request) { return request.fence; }, duty);
}

uint64_t FenceOf(const RunDuty& duty) {
  const auto* plan = std::get_if<proto::RunPlan>(&duty);
  return plan != nullptr ? plan->lease.fence : std::get<proto::ModelPlan>(duty).fence;
}

void Duties::Add(BuildDuty duty) {
  absl::MutexLock lock(&mutex_);
  builds_.push_back(std::move(duty));
}

void Duties::Add(RunDuty duty) {
  absl::MutexLock lock(&mutex_);
  runs_.push_back(std::move(duty));
}

bool Duties::Cancel(uint64_t fence) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(builds_, [&](const BuildDuty& duty) { return FenceOf(duty) == fence; });
  std::erase_if(runs_, [&](const RunDuty& duty) { return FenceOf(duty) == fence; });
  return under_way_.erase(fence) > 0;
}

void Duties::Acknowledge(uint64_t fence) {
  absl::MutexLock lock(&mutex_);
  results_.erase(fence);
}

std::optional<BuildDuty> Duties::NextBuild() {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !builds_.empty();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stopped_) return std::nullopt;
  BuildDuty duty = std::move(builds_.front());
  builds_.pop_front();
  under_way_.insert(FenceOf(duty));
  return duty;
}

std::optional<RunDuty> Duties::NextRun() {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || !runs_.empty();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stopped_) return std::nullopt;
  RunDuty duty = std::move(runs_.front());
  runs_.pop_front();
  under_way_.insert(FenceOf(duty));
  return duty;
}

bool Duties::Finish(uint64_t fence, proto::WorkerMessage result) {
  absl::MutexLock lock(&mutex_);
  if (under_way_.erase(fence) == 0) return false;
  results_[fence] = std::move(result);
  return true;
}

bool Duties::IsUnderWay(uint64_t fence) const {
  absl::MutexLock lock(&mutex_);
  return under_way_.contains(fence);
}

std::vector<uint64_t> Duties::UnderWay() const {
  absl::MutexLock lock(&mutex_);
  return {under_way_.begin(), under_way_.end()};
}

std::vector<uint64_t> Duties::Held() const {
  absl::MutexLock lock(&mutex_);
  std::vector<uint64_t> held(under_way_.begin(), under_way_.end());
  for (const BuildDuty& duty : builds_) held.push_back(FenceOf(duty));
  for (const RunDuty& duty : runs_) held.push_back(FenceOf(duty));
  for (const auto& [fence, result] : results_) held.push_back(fence);
  return held;
}

std::vector<proto::WorkerMessage> Duties::Unacknowledged() const {
  absl::MutexLock lock(&mutex_);
  std::vector<proto::WorkerMessage> messages;
  for (const auto& [fence, result] : results_) messages.push_back(result);
  return messages;
}

void Duties::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

}  // namespace tessera::agent
