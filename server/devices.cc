#include "server/devices.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::server {
namespace {

constexpr std::string_view kOnline = "online";
constexpr std::string_view kOffline = "offline";
constexpr std::string_view kDraining = "draining";
constexpr std::string_view kQuarantined = "quarantined";
constexpr int kStrikesToQuarantine = 3;
constexpr absl::Duration kStorePause = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceRegistry>> DeviceRegistry::Load(db::Store& store,
                                                                     Clock& clock) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<db::Device> devices, store.ListDevices());
  std::unique_ptr<DeviceRegistry> registry(new DeviceRegistry(store, clock));
  absl::MutexLock lock(&registry->mutex_);
  for (db::Device& device : devices) {
    if (device.state == kOffline) device.state = std::string(kOnline);
    const std::string id = device.id;
    registry->entries_[id].device = std::move(device);
  }
  return registry;
}

db::Device DeviceRegistry::Shown(const Entry& entry) {
  db::Device device = entry.device;
  if (entry.link == nullptr && device.state == kOnline) device.state = std::string(kOffline);
  return device;
}

absl::Status DeviceRegistry::Persist(std::string_view id) {
  absl::Status status;
  mutex_.Lock();
  Entry& entry = entries_.find(id)->second;
  const uint64_t wanted = entry.version;
  while (entry.stored < wanted && status.ok()) {
    const auto free = [&entry] { return !entry.storing; };
    mutex_.Await(absl::Condition(&free));
    if (entry.stored >= wanted) break;
    entry.storing = true;
    const uint64_t version = entry.version;
    const db::Device device = Shown(entry);
    mutex_.Unlock();
    status = Annotate(store_.PutDevice(device),
                      absl::StrCat("device ", device.id, ": ", device.state,
                                   " now, but not stored yet (it is tried again)"));
    mutex_.Lock();
    entry.storing = false;
    if (status.ok()) {
      entry.stored = version;
    } else if (!entry.failed) {
      LogWarning(std::string(status.message()));
    }
    entry.failed = !status.ok();
  }
  mutex_.Unlock();
  return status;
}

void DeviceRegistry::StoreChanges() {
  std::vector<std::string> changed;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time now = clock_.Now();
    if (now < tried_again_ + kStorePause) return;
    for (const auto& [id, entry] : entries_) {
      if (entry.failed && !entry.storing) changed.push_back(id);
    }
    if (!changed.empty()) tried_again_ = now;
  }
  for (const std::string& id : changed) Persist(id).IgnoreError();
}

void DeviceRegistry::Connect(absl::Span<const db::Device> devices, const WorkerLink* link) {
  absl::MutexLock lock(&mutex_);
  for (const db::Device& device : devices) {
    Entry& entry = entries_[device.id];
    // The worker says what the device is; the server says whether it is used.
    const std::string state =
        entry.device.state.empty() ? std::string(kOnline) : entry.device.state;
    const std::string reason = entry.device.state_reason;
    const bool is_same = entry.device.device_class.name == device.device_class.name;
    const db::Pace pace = is_same ? entry.device.pace : db::Pace();
    entry.device = device;
    entry.device.pace = pace;
    entry.device.state = state;
    entry.device.state_reason = reason;
    entry.device.last_seen = clock_.Now();
    entry.link = link;
    ++entry.version;
  }
}

void DeviceRegistry::Store(absl::Span<const db::Device> devices) {
  for (const db::Device& device : devices) Persist(device.id).IgnoreError();
}

void DeviceRegistry::Disconnect(absl::Span<const db::Device> devices, const WorkerLink* link) {
  std::vector<std::string> changed;
  {
    absl::MutexLock lock(&mutex_);
    for (const db::Device& device : devices) {
      const auto it = entries_.find(device.id);
      if (it == entries_.end() || it->second.link != link) continue;
      it->second.link = nullptr;
      it->second.device.last_seen = clock_.Now();
      ++it->second.version;
      changed.push_back(device.id);
    }
  }
  for (const std::string& id : changed) Persist(id).IgnoreError();
}

absl::Status DeviceRegistry::SetState(std::string_view id, std::string_view state,
                                      std::string_view reason) {
  {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(id);
    if (it == entries_.end()) {
      const std::string known = absl::StrJoin(
          entries_, ", ", [](std::string* out, const auto& entry) { out->append(entry.first); });
      return absl::NotFoundError(
          absl::StrCat("device \"", AbslView(id), "\": not known; ",
                       known.empty() ? "no device has connected yet" : "known are " + known));
    }
    it->second.device.state = std::string(state);
    it->second.device.state_reason = std::string(reason);
    it->second.strikes = 0;
    ++it->second.version;
  }
  return Persist(id);
}

absl::Status DeviceRegistry::Drain(std::string_view id, std::string_view reason) {
  return SetState(id, kDraining, reason);
}

absl::Status DeviceRegistry::Resume(std::string_view id) { return SetState(id, kOnline, ""); }

void DeviceRegistry::Strike(std::string_view id, std::string_view evidence) {
  bool suspect = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(id);
    if (it == entries_.end()) return;
    suspect = ++it->second.strikes >= kStrikesToQuarantine;
  }
  if (!suspect) return;
  LogWarning(absl::StrCat("device ", AbslView(id), ": quarantined: ", AbslView(evidence)));
  SetState(id, kQuarantined,
           absl::StrCat(kStrikesToQuarantine,
                        " programs that ran elsewhere failed here; last: ", AbslView(evidence)))
      .IgnoreError();
}

void DeviceRegistry::ClearStrikes(std::string_view id) {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  if (it != entries_.end()) it->second.strikes = 0;
}

void DeviceRegistry::SetPaces(std::string_view device_class,
                              const std::map<std::string, db::Pace>& paces) {
  std::vector<std::string> changed;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, pace] : paces) {
      const auto it = entries_.find(id);
      if (it == entries_.end() || it->second.device.pace == pace) continue;
      if (it->second.device.device_class.name != device_class) continue;
      it->second.device.pace = pace;
      ++it->second.version;
      changed.push_back(id);
    }
  }
  for (const std::string& id : changed) Persist(id).IgnoreError();
}

double DeviceRegistry::PaceOf(std::string_view id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  return it == entries_.end() ? 1 : it->second.device.pace.ratio;
}

bool DeviceRegistry::Accepts(std::string_view id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(id);
  return it != entries_.end() && it->second.link != nullptr && it->second.device.state == kOnline;
}

std::vector<db::Device> DeviceRegistry::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<db::Device> devices;
  for (const auto& [id, entry] : entries_) devices.push_back(Shown(entry));
  return devices;
}

}  // namespace tessera::server
