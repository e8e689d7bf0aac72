#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace tessera::server {

enum class LeaseKind : uint8_t { kReference, kBuild, kRun, kLibrary, kModels };

// What one worker was asked to do, under a fence that no other lease ever has.
struct Lease {
  uint64_t fence = 0;
  LeaseKind kind = LeaseKind::kBuild;
  std::string worker;
  std::string device;    // of kRun and kModels
  uint64_t subject = 0;  // the dispatcher's number of the trial, library or models
  int64_t job_id = 0;    // of kRun
  std::string task_key;  // of kReference
  absl::Time confirmed;  // when the worker last said that it holds this
  absl::Time deadline;   // at the latest
};

// Who holds what, until when, and who held what to run. Thread-compatible; moves no time by itself.
class LeaseTable {
 public:
  // Ended leases of plans that are remembered, those that ended last.
  static constexpr size_t kMaxEndedRuns = 1 << 16;

  explicit LeaseTable(uint64_t first_fence) : first_fence_(first_fence), next_fence_(first_fence) {}

  // Fills in fence, confirmed and deadline: `longest` from now on, or behind models that the device
  // measures before.
  Lease Grant(Lease lease, absl::Time now, absl::Duration longest);
  const Lease* Find(uint64_t fence) const;
  // Whether a fence without a lease may have been one of `worker` to run a plan: it was and is
  // remembered, or is of an earlier start of the server, of which nothing is known.
  bool MayHaveRun(std::string_view worker, uint64_t fence) const;
  // Ends a lease; nothing when it is unknown, which makes whatever comes under it late.
  std::optional<Lease> Take(uint64_t fence);
  void Confirm(std::string_view worker, absl::Span<const uint64_t> held, absl::Time now);

  // Ends and returns leases that nobody confirmed since `now - silence`, or past their deadline.
  std::vector<Lease> TakeExpired(absl::Time now, absl::Duration silence);
  // Ends and returns the leases of `worker` that it doesn't hold.
  std::vector<Lease> TakeMissing(std::string_view worker, absl::Span<const uint64_t> held);
  // Ends and returns the leases on a trial or library.
  std::vector<Lease> TakeSubject(LeaseKind kind, uint64_t subject);
  // Ends and returns the leases on a task's reference.
  std::vector<Lease> TakeReference(std::string_view task_key);

  int CountBuilds(std::string_view worker) const;  // references and libraries included
  int CountRuns(std::string_view device) const;
  // The jobs whose plans each device has; 0: models that it measures.
  std::map<std::string, std::set<int64_t>, std::less<>> JobsByDevice() const;
  int size() const { return static_cast<int>(leases_.size()); }

 private:
  template <typename Predicate>
  std::vector<Lease> TakeIf(Predicate predicate);

  void RememberRun(const Lease& ended);

  const uint64_t first_fence_;
  uint64_t next_fence_;
  std::map<uint64_t, Lease> leases_;            // by fence: oldest first
  std::map<uint64_t, std::string> ended_runs_;  // their workers, by fence
  std::deque<uint64_t> ended_order_;            // their fences: the first to end first
};

}  // namespace tessera::server
