#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::db {

inline constexpr int64_t kMaxBlobBytes = int64_t{64} << 20;

// Durable storage of everything that a server knows. A call that returned OK is on disk.
// Thread-safe. Every implementation passes tests/db/record/store_conformance.h. Errors: NotFound
// for ids that don't exist, InvalidArgument for values that db/record/validate.h refuses,
// FailedPrecondition for a schema newer than this build, ResourceExhausted for a full disk,
// DataLoss for a damaged file, Unavailable for a file that another process holds. A call that
// failed has changed nothing. Times are kept in whole microseconds.
class Store {
 public:
  virtual ~Store() = default;

  // Returns the job's id. With a non-empty idempotency_key that exists: the existing id.
  virtual absl::StatusOr<int64_t> CreateJob(const Job& job) = 0;
  virtual absl::Status SetJobState(int64_t id, JobState state, std::string_view message) = 0;
  virtual absl::StatusOr<Job> GetJob(int64_t id) = 0;
  virtual absl::StatusOr<Job> FindJob(std::string_view idempotency_key) = 0;  // no job's if empty
  virtual absl::StatusOr<std::vector<Job>> ListJobs(int limit) = 0;           // newest first

  // Appends records and events in one transaction. A record whose attempt_key exists is not
  // appended again. Returns the records' ids in order (existing ones included). An event with
  // kind kResult and record_id 0 refers to the record at the same place of `records`.
  // Events must continue their job's sequence, else FailedPrecondition and nothing is written.
  // A record's job must exist unless it is 0 (a record without a job, such as an imported one);
  // its task need not have been named by a job.
  virtual absl::StatusOr<std::vector<int64_t>> Append(absl::Span<const Record> records,
                                                      absl::Span<const Event> events) = 0;
  // The job's events with a sequence above after_sequence, in order.
  virtual absl::StatusOr<std::vector<Event>> ReadEvents(int64_t job_id, int64_t after_sequence) = 0;
  // The first kProposed event of a trial, found without reading the rest of the log.
  virtual absl::StatusOr<Event> FindProposal(int64_t job_id, int64_t trial) = 0;

  // Their pace is that of their device now, here and in Best; 1 where its class is another one.
  // By ascending id: ask for more with after_id = the last one's id. With newest_first by
  // descending id, and before_id.
  virtual absl::StatusOr<std::vector<Record>> QueryRecords(const RecordFilter& filter) = 0;
  // The fastest kOk, not stale records of distinct traces by Record::CostSeconds, fastest first,
  // the older first where equal. An empty device_class means any. Without those that call
  // libraries of others, but for those that are `allowed` (JobOptions::allow).
  virtual absl::StatusOr<std::vector<Record>> Best(std::string_view task_key,
                                                   std::string_view device_class, int count,
                                                   std::string_view allowed = {}) = 0;
  // The device classes that any record names, by name.
  virtual absl::StatusOr<std::vector<std::string>> ListDeviceClasses() = 0;
  // Those for which Best of the task has something, were all libraries allowed, by name.
  virtual absl::StatusOr<std::vector<std::string>> ListRankedDeviceClasses(
      std::string_view task_key) = 0;
  // Every task that a job or selection named, in the order of first naming, with the name it had
  // then and weight 1.
  virtual absl::StatusOr<std::vector<Task>> ListTasks() = 0;

  virtual absl::Status PutDevice(const Device& device) = 0;       // insert or replace
  virtual absl::StatusOr<std::vector<Device>> ListDevices() = 0;  // by id

  // The records that it names must exist.
  virtual absl::StatusOr<int64_t> CreateSelection(const Selection& selection) = 0;
  virtual absl::StatusOr<Selection> GetSelection(int64_t id) = 0;
  // The last one whose in_place has this key; NotFound without one.
  virtual absl::StatusOr<Selection> FindInPlace(std::string_view key) = 0;

  // What a library was built to; `key` stands for all that it is a function of. The last one
  // counts.
  virtual absl::Status PutLibrary(std::string_view key, absl::Span<const LibraryFile> files) = 0;
  virtual absl::StatusOr<std::vector<LibraryFile>> FindLibrary(
      std::string_view key) = 0;  // or none

  // Keeps a trained model under its name; its blob must exist. OK for one that is stored already,
  // which stays as it is; AlreadyExists for another of that name.
  virtual absl::Status PutModel(const ModelInfo& model) = 0;
  virtual absl::StatusOr<ModelInfo> GetModelInfo(std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<ModelInfo>> ListModels() = 0;  // the last stored first

  // The job (unless 0) and records that it names must exist. Returns its id.
  virtual absl::StatusOr<int64_t> AppendComparison(const Comparison& comparison) = 0;
  // Newest first, at most `limit`. An empty task key or device class means any, no purpose too.
  virtual absl::StatusOr<std::vector<Comparison>> ListComparisons(
      std::string_view task_key, std::string_view device_class,
      std::optional<ComparisonPurpose> purpose, int limit) = 0;

  // Content-addressed small blobs (models, explorer states), at most kMaxBlobBytes. Returns the
  // SHA-256.
  virtual absl::StatusOr<std::string> PutBlob(std::string_view bytes) = 0;
  virtual absl::StatusOr<std::string> GetBlob(std::string_view digest) = 0;
  // For blobs whose bytes name their one owner, who alone may drop them. OK if there is none.
  virtual absl::Status DropBlob(std::string_view digest) = 0;
};

// NotFound; also for a record of another task than `task_key`, unless that is empty.
absl::StatusOr<Record> GetRecord(Store& store, int64_t id, std::string_view task_key = "");

// How every store says what is wrong: "job 4 does not exist", "no job has key "nightly"".
absl::Status NoSuch(std::string_view what, int64_t id);
absl::Status NoJobHasKey(std::string_view idempotency_key);
absl::Status NoSuchBlob(std::string_view digest);
absl::Status NoSuchInPlace(std::string_view key);
absl::Status NoSuchModel(std::string_view name);
// AlreadyExists where a model of that name has another digest, else OK.
absl::Status CheckIsSameModel(const ModelInfo& stored, const ModelInfo& wanted);

}  // namespace tessera::db
