#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace tessera::server {

enum class LeaseKind : uint8_t { kReference, kBuild, kRun, kLibrary };

// What one worker was asked to do, under a fence that no other lease ever has.
struct Lease {
  uint64_t fence = 0;
  LeaseKind kind = LeaseKind::kBuild;
  std::string worker;
  std::string device;    // of kRun
  uint64_t subject = 0;  // the dispatcher's number of the trial or library
  std::string task_key;  // of kReference
  absl::Time confirmed;  // when the worker last said that it holds this
  absl::Time deadline;   // at the latest
};

// Who holds what, until when. Thread-compatible; moves no time by itself.
class LeaseTable {
 public:
  explicit LeaseTable(uint64_t first_fence) : next_fence_(first_fence) {}

  // Fills in fence, confirmed and deadline.
  Lease Grant(Lease lease, absl::Time now, absl::Duration longest);
  const Lease* Find(uint64_t fence) const;
  bool WasGranted(uint64_t fence) const { return fence < next_fence_; }  // or by an earlier run
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
  int size() const { return static_cast<int>(leases_.size()); }

 private:
  template <typename Predicate>
  std::vector<Lease> TakeIf(Predicate predicate);

  uint64_t next_fence_;
  std::map<uint64_t, Lease> leases_;  // by fence: oldest first
};

}  // namespace tessera::server
