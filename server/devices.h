#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "compiler/ir/target.h"
#include "db/record/store.h"
#include "server/worker_link.h"

namespace tessera::server {

// Every device that was ever seen and what may be given to it. Draining and quarantine outlive
// reconnects and restarts. Thread-safe; the store is called without a lock held.
class DeviceRegistry {
 public:
  // The registry of what `store` knows; all devices are offline at first.
  static absl::StatusOr<std::unique_ptr<DeviceRegistry>> Load(db::Store& store, Clock& clock);

  // A worker brought these devices, whose targets can be read, over `link`. In memory only, takes
  // no other lock: follow it by Store.
  void Connect(absl::Span<const db::Device> devices, const WorkerLink* link);
  // Stores what is new of these devices; what can't be stored now is tried again by StoreChanges.
  void Store(absl::Span<const db::Device> devices);
  // `link` is gone. Devices that meanwhile came back over another one stay connected.
  void Disconnect(absl::Span<const db::Device> devices, const WorkerLink* link);

  // NotFound names the known devices. Other errors are the store's: the change is in force, and
  // lost if the server restarts before StoreChanges could store it.
  absl::Status Drain(std::string_view id, std::string_view reason);
  absl::Status Resume(std::string_view id);

  // A program that is known to be good failed here. The third time in a row quarantines the
  // device; a success in between starts anew.
  void Strike(std::string_view id, std::string_view evidence);
  void ClearStrikes(std::string_view id);

  // What was measured of some devices of a class. Others keep what was known of them, and so do
  // those that are of another class by now.
  void SetPaces(std::string_view device_class, const std::map<std::string, db::Pace>& paces);
  // db::Pace::ratio; 1 of a device that isn't known. Takes no other lock.
  double PaceOf(std::string_view id) const;

  // Tries again, now and then, to store what could not be.
  void StoreChanges();

  // Connected and neither draining nor quarantined. Takes no other lock.
  bool Accepts(std::string_view id) const;
  std::vector<db::Device> List() const;

 private:
  struct Entry {
    db::Device device;
    const WorkerLink* link = nullptr;  // compared only; null: not connected
    int strikes = 0;
    uint64_t version = 0;  // counts changes
    uint64_t stored = 0;   // the version that the store has
    bool storing = false;  // by some thread
    bool failed = false;   // the last time
  };

  DeviceRegistry(db::Store& store, Clock& clock) : store_(store), clock_(clock) {}
  absl::Status SetState(std::string_view id, std::string_view state, std::string_view reason);
  // What is stored and shown of an entry.
  static db::Device Shown(const Entry& entry);
  // OK when the store has what `id` is now or became since. Of one device a thread at a time
  // stores, always the newest state, so that the last one wins.
  absl::Status Persist(std::string_view id) ABSL_LOCKS_EXCLUDED(mutex_);

  db::Store& store_;
  Clock& clock_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_ ABSL_GUARDED_BY(mutex_);  // never removed from
  absl::Time tried_again_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace tessera::server
