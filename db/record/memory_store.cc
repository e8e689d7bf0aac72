#include "db/record/memory_store.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/validate.h"

namespace tessera::db {
namespace {

bool Matches(const RecordFilter& filter, const Record& record) {
  if (!filter.task_key.empty() && record.task_key != filter.task_key) return false;
  if (!filter.device_class.empty() && record.device_class != filter.device_class) return false;
  if (filter.job_id != 0 && record.job_id != filter.job_id) return false;
  return filter.outcomes.empty() ||
         absl::c_linear_search(filter.outcomes, record.measurement.outcome);
}

}  // namespace

void MemoryStore::RememberTask(const Task& task) {
  if (!task_by_key_.emplace(task.Key(), tasks_.size()).second) return;
  tasks_.push_back(task);
  tasks_.back().weight = 1;
}

absl::StatusOr<int64_t> MemoryStore::CreateJob(const Job& job) {
  TESSERA_RETURN_IF_ERROR(ValidateJob(job));
  const absl::Time now = ToStoredPrecision(clock_.Now());
  absl::MutexLock lock(&mutex_);
  const std::string& key = job.options.idempotency_key;
  if (auto found = job_by_idempotency_key_.find(key); found != job_by_idempotency_key_.end()) {
    return found->second;
  }
  jobs_.push_back(job);
  events_.emplace_back();
  Job& stored = jobs_.back();
  stored.id = static_cast<int64_t>(jobs_.size());
  stored.created = stored.updated = now;
  if (!key.empty()) job_by_idempotency_key_.emplace(key, stored.id);
  for (const Task& task : job.tasks) RememberTask(task);
  return stored.id;
}

absl::Status MemoryStore::SetJobState(int64_t id, JobState state, std::string_view message) {
  const absl::Time now = ToStoredPrecision(clock_.Now());
  absl::MutexLock lock(&mutex_);
  if (!HasJob(id)) return NoSuch("job", id);
  Job& job = jobs_[id - 1];
  job.state = state;
  job.message = std::string(message);
  job.updated = now;
  return absl::OkStatus();
}

absl::StatusOr<Job> MemoryStore::GetJob(int64_t id) {
  absl::MutexLock lock(&mutex_);
  if (!HasJob(id)) return NoSuch("job", id);
  return jobs_[id - 1];
}

absl::StatusOr<Job> MemoryStore::FindJob(std::string_view idempotency_key) {
  absl::MutexLock lock(&mutex_);
  const auto found = job_by_idempotency_key_.find(std::string(idempotency_key));
  if (found == job_by_idempotency_key_.end()) return NoJobHasKey(idempotency_key);
  return jobs_[found->second - 1];
}

absl::StatusOr<std::vector<Job>> MemoryStore::ListJobs(int limit) {
  absl::MutexLock lock(&mutex_);
  const size_t count = std::min<size_t>(std::max(limit, 0), jobs_.size());
  return std::vector<Job>(jobs_.rbegin(), jobs_.rbegin() + static_cast<ptrdiff_t>(count));
}

absl::Status MemoryStore::CheckFits(absl::Span<const Record> records,
                                    absl::Span<const Event> events) const {
  for (const Record& record : records) {
    if (record.job_id != 0 && !HasJob(record.job_id)) return NoSuch("job", record.job_id);
  }
  absl::flat_hash_map<int64_t, int64_t> last;
  for (const Event& event : events) {
    if (!HasJob(event.job_id)) return NoSuch("job", event.job_id);
    const auto held = static_cast<int64_t>(events_[event.job_id - 1].size());
    int64_t& sequence = last.try_emplace(event.job_id, held).first->second;
    if (event.sequence != sequence + 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("event ", event.sequence, " of job ", event.job_id,
                       " does not continue its log, which ends at ", sequence));
    }
    ++sequence;
    if (event.record_id != 0 && !HasRecord(event.record_id)) {
      return NoSuch("record", event.record_id);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> MemoryStore::Append(absl::Span<const Record> records,
                                                         absl::Span<const Event> events) {
  TESSERA_RETURN_IF_ERROR(ValidateAppend(records, events));
  const absl::Time now = clock_.Now();
  absl::MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckFits(records, events));
  std::vector<int64_t> ids;
  for (const Record& record : records) {
    const int64_t next_id = static_cast<int64_t>(records_.size()) + 1;
    auto [entry, inserted] = record_by_attempt_.emplace(record.attempt_key, next_id);
    ids.push_back(entry->second);
    if (!inserted) continue;
    records_.push_back(record);
    Record& stored = records_.back();
    stored.id = next_id;
    device_classes_.insert(stored.device_class);
    stored.created = StampOf(record.created, now);
    if (stored.measurement.outcome == Outcome::kOk && !stored.stale) {
      ranking_[stored.task_key].emplace(stored.measurement.CostSeconds(), stored.id);
    }
  }
  for (size_t i = 0; i < events.size(); ++i) {
    std::vector<Event>& log = events_[events[i].job_id - 1];
    log.push_back(events[i]);
    if (log.back().kind == EventKind::kResult && log.back().record_id == 0) {
      log.back().record_id = ids[i];
    }
    if (log.back().kind == EventKind::kProposed) {
      proposals_.try_emplace({log.back().job_id, log.back().trial}, log.size() - 1);
    }
  }
  return ids;
}

absl::StatusOr<std::vector<Event>> MemoryStore::ReadEvents(int64_t job_id, int64_t after_sequence) {
  absl::MutexLock lock(&mutex_);
  if (!HasJob(job_id)) return NoSuch("job", job_id);
  const std::vector<Event>& log = events_[job_id - 1];
  const auto size = static_cast<int64_t>(log.size());
  return std::vector<Event>(log.begin() + std::clamp<int64_t>(after_sequence, 0, size), log.end());
}

absl::StatusOr<Event> MemoryStore::FindProposal(int64_t job_id, int64_t trial) {
  absl::MutexLock lock(&mutex_);
  const auto found = proposals_.find({job_id, trial});
  if (found == proposals_.end()) {
    return absl::NotFoundError(absl::StrCat("job ", job_id, " has not proposed trial ", trial));
  }
  return events_[job_id - 1][found->second];
}

absl::StatusOr<std::vector<Record>> MemoryStore::QueryRecords(const RecordFilter& filter) {
  absl::MutexLock lock(&mutex_);
  std::vector<Record> found;
  const auto size = static_cast<int64_t>(records_.size());
  const int64_t begin = std::clamp<int64_t>(filter.after_id, 0, size);
  const int64_t end =
      filter.before_id > 0 ? std::clamp<int64_t>(filter.before_id - 1, begin, size) : size;
  for (int64_t i = begin; i < end; ++i) {
    if (static_cast<int64_t>(found.size()) >= filter.limit) break;
    const Record& record = records_[filter.newest_first ? end - 1 - (i - begin) : i];
    if (!Matches(filter, record)) continue;
    if (!filter.workload_hash.empty()) {
      auto task = task_by_key_.find(record.task_key);
      if (task == task_by_key_.end()) continue;
      if (tasks_[task->second].workload_hash != filter.workload_hash) continue;
    }
    found.push_back(record);
  }
  const PaceTable paces = Paces();
  for (Record& record : found) record.pace = paces.Of(record);
  return found;
}

PaceTable MemoryStore::Paces() const {
  PaceTable paces;
  for (const auto& [id, device] : devices_) {
    paces.Add(id, device.device_class.name, device.pace.ratio);
  }
  return paces;
}

absl::StatusOr<std::vector<Record>> MemoryStore::Best(std::string_view task_key,
                                                      std::string_view device_class, int count,
                                                      std::string_view allowed) {
  absl::MutexLock lock(&mutex_);
  auto ranking = ranking_.find(std::string(task_key));
  if (ranking == ranking_.end()) return std::vector<Record>();
  const PaceTable paces = Paces();
  BestRecords best(count, paces, allowed);
  for (const auto& [cost_seconds, id] : ranking->second) {
    const Record& record = records_[id - 1];
    if (!device_class.empty() && record.device_class != device_class) continue;
    if (!best.Offer(record)) break;
  }
  return std::move(best).Take();
}

absl::StatusOr<std::vector<std::string>> MemoryStore::ListDeviceClasses() {
  absl::MutexLock lock(&mutex_);
  return std::vector<std::string>(device_classes_.begin(), device_classes_.end());
}

absl::StatusOr<std::vector<std::string>> MemoryStore::ListRankedDeviceClasses(
    std::string_view task_key) {
  absl::MutexLock lock(&mutex_);
  std::set<std::string> classes;
  const auto ranking = ranking_.find(std::string(task_key));
  if (ranking != ranking_.end()) {
    for (const auto& [cost_seconds, id] : ranking->second) {
      classes.insert(records_[id - 1].device_class);
    }
  }
  return std::vector<std::string>(classes.begin(), classes.end());
}

absl::StatusOr<std::vector<Task>> MemoryStore::ListTasks() {
  absl::MutexLock lock(&mutex_);
  return tasks_;
}

absl::Status MemoryStore::PutDevice(const Device& device) {
  TESSERA_RETURN_IF_ERROR(ValidateDevice(device));
  absl::MutexLock lock(&mutex_);
  Device& stored = devices_[device.id];
  stored = device;
  stored.last_seen = ToStoredPrecision(device.last_seen);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Device>> MemoryStore::ListDevices() {
  absl::MutexLock lock(&mutex_);
  std::vector<Device> devices;
  for (const auto& [id, device] : devices_) devices.push_back(device);
  return devices;
}

absl::StatusOr<int64_t> MemoryStore::CreateSelection(const Selection& selection) {
  TESSERA_RETURN_IF_ERROR(ValidateSelection(selection));
  const absl::Time now = ToStoredPrecision(clock_.Now());
  absl::MutexLock lock(&mutex_);
  for (const SelectionItem& item : selection.items) {
    if (item.record_id != 0 && !HasRecord(item.record_id)) return NoSuch("record", item.record_id);
  }
  selections_.push_back(selection);
  selections_.back().id = static_cast<int64_t>(selections_.size());
  selections_.back().created = now;
  for (const SelectionItem& item : selection.items) RememberTask(item.task);
  return selections_.back().id;
}

absl::StatusOr<Selection> MemoryStore::GetSelection(int64_t id) {
  absl::MutexLock lock(&mutex_);
  if (id < 1 || id > static_cast<int64_t>(selections_.size())) return NoSuch("selection", id);
  return selections_[id - 1];
}

absl::StatusOr<Selection> MemoryStore::FindInPlace(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  for (auto it = selections_.rbegin(); it != selections_.rend(); ++it) {
    if (it->in_place && it->in_place->key == key) return *it;
  }
  return NoSuchInPlace(key);
}

absl::Status MemoryStore::PutLibrary(std::string_view key, absl::Span<const LibraryFile> files) {
  absl::MutexLock lock(&mutex_);
  libraries_[AbslView(key)].assign(files.begin(), files.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LibraryFile>> MemoryStore::FindLibrary(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  const auto found = libraries_.find(AbslView(key));
  return found == libraries_.end() ? std::vector<LibraryFile>() : found->second;
}

absl::Status MemoryStore::PutModel(const ModelInfo& model) {
  TESSERA_RETURN_IF_ERROR(ValidateModel(model));
  const absl::Time now = clock_.Now();
  absl::MutexLock lock(&mutex_);
  if (!blobs_.contains(model.digest)) return NoSuchBlob(model.digest);
  const auto same = absl::c_find_if(models_, [&](const auto& m) { return m.name == model.name; });
  if (same != models_.end()) return CheckIsSameModel(*same, model);
  models_.push_back(model);
  models_.back().created = StampOf(model.created, now);
  return absl::OkStatus();
}

absl::StatusOr<ModelInfo> MemoryStore::GetModelInfo(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = absl::c_find_if(models_, [&](const auto& m) { return m.name == name; });
  if (found == models_.end()) return NoSuchModel(name);
  return *found;
}

absl::StatusOr<std::vector<ModelInfo>> MemoryStore::ListModels() {
  absl::MutexLock lock(&mutex_);
  return std::vector<ModelInfo>(models_.rbegin(), models_.rend());
}

absl::StatusOr<int64_t> MemoryStore::AppendComparison(const Comparison& comparison) {
  TESSERA_RETURN_IF_ERROR(ValidateComparison(comparison));
  const absl::Time now = clock_.Now();
  absl::MutexLock lock(&mutex_);
  if (comparison.job_id != 0 && !HasJob(comparison.job_id)) return NoSuch("job", comparison.job_id);
  for (const int64_t id : comparison.record_ids) {
    if (!HasRecord(id)) return NoSuch("record", id);
  }
  comparisons_.push_back(comparison);
  Comparison& stored = comparisons_.back();
  stored.id = static_cast<int64_t>(comparisons_.size());
  stored.created = StampOf(comparison.created, now);
  return stored.id;
}

absl::StatusOr<std::vector<Comparison>> MemoryStore::ListComparisons(
    std::string_view task_key, std::string_view device_class,
    std::optional<ComparisonPurpose> purpose, int limit) {
  absl::MutexLock lock(&mutex_);
  std::vector<Comparison> found;
  for (auto it = comparisons_.rbegin(); it != comparisons_.rend(); ++it) {
    if (static_cast<int>(found.size()) >= limit) break;
    if (!task_key.empty() && it->task_key != task_key) continue;
    if (!device_class.empty() && it->device_class != device_class) continue;
    if (purpose && it->purpose != *purpose) continue;
    found.push_back(*it);
  }
  return found;
}

absl::StatusOr<std::string> MemoryStore::PutBlob(std::string_view bytes) {
  TESSERA_RETURN_IF_ERROR(ValidateBlob(bytes));
  std::string digest = Sha256Hex(bytes);
  absl::MutexLock lock(&mutex_);
  blobs_.emplace(digest, bytes);
  return digest;
}

absl::StatusOr<std::string> MemoryStore::GetBlob(std::string_view digest) {
  absl::MutexLock lock(&mutex_);
  auto found = blobs_.find(std::string(digest));
  if (found == blobs_.end()) return NoSuchBlob(digest);
  return found->second;
}

absl::Status MemoryStore::DropBlob(std::string_view digest) {
  absl::MutexLock lock(&mutex_);
  blobs_.erase(std::string(digest));
  return absl::OkStatus();
}

}  // namespace tessera::db
