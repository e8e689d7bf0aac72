#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "db/record/pace.h"
#include "db/record/store.h"

namespace tessera::db {

// A store that forgets everything when it is destroyed: for tests, simulation and replay.
class MemoryStore final : public Store {
 public:
  // `clock` stamps what is created and must outlive the store.
  explicit MemoryStore(Clock& clock) : clock_(clock) {}

  absl::StatusOr<int64_t> CreateJob(const Job& job) override;
  absl::Status SetJobState(int64_t id, JobState state, std::string_view message) override;
  absl::StatusOr<Job> GetJob(int64_t id) override;
  absl::StatusOr<Job> FindJob(std::string_view idempotency_key) override;
  absl::StatusOr<std::vector<Job>> ListJobs(int limit) override;
  absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const Record> records,
                                              absl::Span<const Event> events) override;
  absl::StatusOr<std::vector<Event>> ReadEvents(int64_t job_id, int64_t after_sequence) override;
  absl::StatusOr<Event> FindProposal(int64_t job_id, int64_t trial) override;
  absl::StatusOr<std::vector<Record>> QueryRecords(const RecordFilter& filter) override;
  absl::StatusOr<std::vector<Record>> Best(std::string_view task_key, std::string_view device_class,
                                           int count, std::string_view allowed = {}) override;
  absl::StatusOr<std::vector<std::string>> ListDeviceClasses() override;
  absl::StatusOr<std::vector<std::string>> ListRankedDeviceClasses(
      std::string_view task_key) override;
  absl::StatusOr<std::vector<Task>> ListTasks() override;
  absl::Status PutDevice(const Device& device) override;
  absl::StatusOr<std::vector<Device>> ListDevices() override;
  absl::StatusOr<int64_t> CreateSelection(const Selection& selection) override;
  absl::StatusOr<Selection> GetSelection(int64_t id) override;
  absl::StatusOr<Selection> FindInPlace(std::string_view key) override;
  absl::Status PutLibrary(std::string_view key, absl::Span<const LibraryFile> files) override;
  absl::StatusOr<std::vector<LibraryFile>> FindLibrary(std::string_view key) override;
  absl::Status PutModel(const ModelInfo& model) override;
  absl::StatusOr<ModelInfo> GetModelInfo(std::string_view name) override;
  absl::StatusOr<std::vector<ModelInfo>> ListModels() override;
  absl::StatusOr<int64_t> AppendComparison(const Comparison& comparison) override;
  absl::StatusOr<std::vector<Comparison>> ListComparisons(std::string_view task_key,
                                                          std::string_view device_class,
                                                          std::optional<ComparisonPurpose> purpose,
                                                          int limit) override;
  absl::StatusOr<std::string> PutBlob(std::string_view bytes) override;
  absl::StatusOr<std::string> GetBlob(std::string_view digest) override;
  absl::Status DropBlob(std::string_view digest) override;

 private:
  void RememberTask(const Task& task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasJob(int64_t id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return id >= 1 && id <= static_cast<int64_t>(jobs_.size());
  }
  bool HasRecord(int64_t id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return id >= 1 && id <= static_cast<int64_t>(records_.size());
  }
  PaceTable Paces() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // NotFound or FailedPrecondition where `records` and `events` don't fit what is held.
  absl::Status CheckFits(absl::Span<const Record> records, absl::Span<const Event> events) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  absl::Mutex mutex_;
  // Ids are places plus one: nothing is ever removed.
  std::vector<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<Event>> events_ ABSL_GUARDED_BY(mutex_);  // one list a job
  // By job and trial: the place in the job's list.
  absl::flat_hash_map<std::pair<int64_t, int64_t>, size_t> proposals_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int64_t> job_by_idempotency_key_ ABSL_GUARDED_BY(mutex_);
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, size_t> task_by_key_ ABSL_GUARDED_BY(mutex_);
  std::vector<Record> records_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> device_classes_ ABSL_GUARDED_BY(mutex_);  // of records_
  absl::flat_hash_map<std::string, int64_t> record_by_attempt_ ABSL_GUARDED_BY(mutex_);
  // By task: (cost, id) of what may become best.
  absl::flat_hash_map<std::string, std::set<std::pair<double, int64_t>>> ranking_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Device> devices_ ABSL_GUARDED_BY(mutex_);
  std::vector<Selection> selections_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::vector<LibraryFile>> libraries_ ABSL_GUARDED_BY(mutex_);
  std::vector<ModelInfo> models_ ABSL_GUARDED_BY(mutex_);
  std::vector<Comparison> comparisons_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::string> blobs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::db
