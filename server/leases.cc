#include "server/leases.h"

#include <algorithm>
#include <utility>

namespace tessera::server {
namespace {

bool Contains(absl::Span<const uint64_t> held, uint64_t fence) {
  return std::find(held.begin(), held.end(), fence) != held.end();
}

// Whether a device's runner has it to do, rather than a builder.
bool IsRun(const Lease& lease) {
  return lease.kind == LeaseKind::kRun || lease.kind == LeaseKind::kModels;
}

}  // namespace

Lease LeaseTable::Grant(Lease lease, absl::Time now, absl::Duration longest) {
  lease.fence = next_fence_++;
  lease.confirmed = now;
  absl::Time begins = now;
  for (const auto& [fence, other] : leases_) {
    const bool is_before = other.kind == LeaseKind::kModels && other.device == lease.device;
    if (IsRun(lease) && is_before) begins = std::max(begins, other.deadline);
  }
  lease.deadline = begins + longest;
  leases_[lease.fence] = lease;
  return lease;
}

const Lease* LeaseTable::Find(uint64_t fence) const {
  const auto it = leases_.find(fence);
  return it == leases_.end() ? nullptr : &it->second;
}

std::optional<Lease> LeaseTable::Take(uint64_t fence) {
  auto node = leases_.extract(fence);
  if (node.empty()) return std::nullopt;
  RememberRun(node.mapped());
  return std::move(node.mapped());
}

bool LeaseTable::MayHaveRun(std::string_view worker, uint64_t fence) const {
  if (fence < first_fence_) return true;
  const auto it = ended_runs_.find(fence);
  return it != ended_runs_.end() && it->second == worker;
}

void LeaseTable::RememberRun(const Lease& ended) {
  if (ended.kind != LeaseKind::kRun) return;
  ended_runs_[ended.fence] = ended.worker;
  ended_order_.push_back(ended.fence);
  if (ended_order_.size() <= kMaxEndedRuns) return;
  ended_runs_.erase(ended_order_.front());
  ended_order_.pop_front();
}

void LeaseTable::Confirm(std::string_view worker, absl::Span<const uint64_t> held, absl::Time now) {
  for (uint64_t fence : held) {
    const auto it = leases_.find(fence);
    if (it != leases_.end() && it->second.worker == worker) it->second.confirmed = now;
  }
}

template <typename Predicate>
std::vector<Lease> LeaseTable::TakeIf(Predicate predicate) {
  std::vector<Lease> taken;
  for (auto it = leases_.begin(); it != leases_.end();) {
    if (predicate(it->second)) {
      RememberRun(it->second);
      taken.push_back(std::move(it->second));
      it = leases_.erase(it);
    } else {
      ++it;
    }
  }
  return taken;
}

std::vector<Lease> LeaseTable::TakeExpired(absl::Time now, absl::Duration silence) {
  return TakeIf(
      [&](const Lease& lease) { return lease.confirmed + silence < now || lease.deadline < now; });
}

std::vector<Lease> LeaseTable::TakeMissing(std::string_view worker,
                                           absl::Span<const uint64_t> held) {
  return TakeIf(
      [&](const Lease& lease) { return lease.worker == worker && !Contains(held, lease.fence); });
}

std::vector<Lease> LeaseTable::TakeSubject(LeaseKind kind, uint64_t subject) {
  return TakeIf([&](const Lease& lease) { return lease.kind == kind && lease.subject == subject; });
}

std::vector<Lease> LeaseTable::TakeReference(std::string_view task_key) {
  return TakeIf([&](const Lease& lease) {
    return lease.kind == LeaseKind::kReference && lease.task_key == task_key;
  });
}

int LeaseTable::CountBuilds(std::string_view worker) const {
  return static_cast<int>(std::count_if(leases_.begin(), leases_.end(), [&](const auto& entry) {
    return !IsRun(entry.second) && entry.second.worker == worker;
  }));
}

int LeaseTable::CountRuns(std::string_view device) const {
  return static_cast<int>(std::count_if(leases_.begin(), leases_.end(), [&](const auto& entry) {
    return IsRun(entry.second) && entry.second.device == device;
  }));
}

std::map<std::string, std::set<int64_t>, std::less<>> LeaseTable::JobsByDevice() const {
  std::map<std::string, std::set<int64_t>, std::less<>> jobs;
  for (const auto& [fence, lease] : leases_) {
    if (IsRun(lease)) jobs[lease.device].insert(lease.job_id);
  }
  return jobs;
}

}  // namespace tessera::server
