#include "tuner/trial_budget.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace tessera::tuner {

int BatchSize(int64_t proposed) {
  return static_cast<int>(std::clamp<int64_t>(proposed / 16, 4, 16));
}

TrialBudget::TrialBudget(const db::Job& job, bool shared) : shared_(shared) {
  const int each = std::max(0, job.options.trials_per_task);
  if (shared) warm_up_ = std::min(each, std::clamp(each / 16, 8, 16));
  std::map<std::pair<std::string, int>, int> pool_of;
  for (size_t t = 0; t < job.tasks.size(); ++t) {
    const db::Task& task = job.tasks[t];
    const int trials = std::max(0, job.options.TrialsOf(static_cast<int>(t)));
    const auto next = static_cast<int>(pools_.size());
    const int pool =
        shared ? pool_of.try_emplace({task.target, task.threads}, next).first->second : next;
    if (pool == next) pools_.emplace_back();
    pools_[pool].left += trials;
    pools_[pool].kept += warm_up_;
    ++pools_[pool].open;
    total_ += trials;
    tasks_.push_back({pool, trials});
  }
}

int64_t TrialBudget::Kept(const Task& task) const {
  return task.ended ? 0 : std::max<int64_t>(0, warm_up_ - task.proposed);
}

void TrialBudget::Propose(int task) {
  Pool& pool = pools_[tasks_[task].pool];
  pool.kept -= Kept(tasks_[task]);
  ++tasks_[task].proposed;
  pool.kept += Kept(tasks_[task]);
  --pool.left;
}

void TrialBudget::End(int task) {
  if (tasks_[task].ended) return;
  Pool& pool = pools_[tasks_[task].pool];
  pool.kept -= Kept(tasks_[task]);
  --pool.open;
  tasks_[task].ended = true;
}

int64_t TrialBudget::Available(int pool) const {
  if (!shared_) return std::max<int64_t>(0, pools_[pool].left);
  int64_t available = 0;
  for (size_t p = 0; p < pools_.size(); ++p) {
    available += pools_[p].left;
    const bool is_others = static_cast<int>(p) != pool && pools_[p].open > 0;
    if (is_others) available -= std::max<int64_t>(0, pools_[p].left);
  }
  return std::max<int64_t>(0, available);
}

int64_t TrialBudget::Left(int task) const {
  const Task& of = tasks_[task];
  if (of.ended) return 0;
  return std::max<int64_t>(0, Available(of.pool) - (pools_[of.pool].kept - Kept(of)));
}

bool TrialBudget::IsUsedUp(int task) const {
  if (tasks_[task].ended) return true;
  return (shared_ ? LeftOfJob() : Left(task)) == 0;
}

int64_t TrialBudget::Allotted(int task) const {
  if (!shared_) return tasks_[task].trials;
  const Task& of = tasks_[task];
  if (of.ended) return of.proposed;
  const int64_t available = Available(of.pool);
  const int open = pools_[of.pool].open;
  int64_t before = 0;  // open tasks of the pool, which get the remainder first
  for (int t = 0; t < task; ++t) before += tasks_[t].pool == of.pool && !tasks_[t].ended;
  return of.proposed + available / open + (before < available % open ? 1 : 0);
}

int64_t TrialBudget::LeftOfJob() const {
  int64_t left = 0;
  bool is_open = false;
  for (const Pool& pool : pools_) {
    is_open = is_open || pool.open > 0;
    if (shared_ || pool.open > 0) left += pool.left;
  }
  return is_open ? std::max<int64_t>(0, left) : 0;
}

}  // namespace tessera::tuner
