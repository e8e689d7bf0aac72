#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/file_lock.h"
#include "db/record/store.h"
#include "db/sqlite/reader_pool.h"
#include "db/sqlite/writer.h"

namespace tessera::db {

struct SqliteOptions {
  int64_t max_bytes = 0;  // refuse writes that would make the file larger; 0 = the disk decides
  absl::Duration lock_wait = absl::Seconds(5);  // for other programs that write to the file
};

// A server's database in one SQLite file: write-ahead log, synchronous FULL, so that a returned
// call survives the loss of process and power. One thread writes, in group commits; readers run
// beside it on snapshots. Other programs may read the file meanwhile.
class SqliteStore final : public Store {
 public:
  // Opens or creates the file and brings its schema up to date. `clock` stamps what is created and
  // must outlive the store. Errors: Unavailable when another server has it open,
  // FailedPrecondition for a newer schema or another application's database, DataLoss for a file
  // that is none, NotFound or PermissionDenied for a path that can't be used.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(const std::string& path, Clock& clock,
                                                           const SqliteOptions& options = {});

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
  SqliteStore(const std::string& path, FileLock lock, std::unique_ptr<Connection> connection,
              const SqliteOptions& options, Clock& clock)
      : clock_(clock),
        lock_(std::move(lock)),
        writer_(std::move(connection)),
        readers_(path, options.lock_wait) {}

  Clock& clock_;
  // Destroyed from the last to the first: the writer's connection, closed after the readers',
  // moves the write-ahead log into the file; the lock goes when nothing is open any more.
  FileLock lock_;
  Writer writer_;
  ReaderPool readers_;
};

}  // namespace tessera::db
