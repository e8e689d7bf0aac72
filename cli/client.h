#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/record/record.h"
#include "proto/session.h"
#include "tuner/model_file.h"

namespace tessera::cli {

// A device class that has records, and how many of the tasks asked for have one there that Best may
// give.
struct RecordedClass {
  std::string name;
  int tasks = 0;
};

// A library to be built.
struct LibraryOrder {
  int64_t selection = 0;
  std::string name;             // "ops" gives libops.so
  bool static_library = false;  // libops.a, too
};

struct BuiltFile {
  std::string name;
  std::string bytes;
};
// DataLoss where it is not among them.
absl::StatusOr<const BuiltFile*> FindFile(absl::Span<const BuiltFile> files,
                                          const std::string& name);

// What the server lists of at once, at most.
inline constexpr int kMaxListedRecords = 1000, kMaxListedComparisons = 1000;

// The server as plain functions. Errors are the server's; Unavailable when nothing answers (any
// more), naming the address and what to do. Thread-safe.
class Client {
 public:
  // Waits up to two seconds for the server to answer. InvalidArgument when `address` is none.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& address);
  virtual ~Client() = default;

  virtual absl::StatusOr<int64_t> CreateJob(const db::Job& job) = 0;
  virtual absl::StatusOr<db::Job> GetJob(int64_t id) = 0;
  // The job that has this idempotency key, which is not empty; none: nullopt.
  virtual absl::StatusOr<std::optional<db::Job>> FindJob(const std::string& key) = 0;
  virtual absl::StatusOr<std::vector<db::Job>> ListJobs(int limit) = 0;
  virtual absl::Status CancelJob(int64_t id) = 0;
  // Calls `show` for each update until the job has ended. Cancelled after Interrupt alone, as all
  // that say so.
  virtual absl::Status WatchJob(int64_t id,
                                const std::function<void(const proto::JobProgress&)>& show) = 0;
  // Ends the running WatchJob, CompareWithItself, ChooseInPlace or BuildLibrary, and every later
  // one and Upload. From any thread.
  virtual void Interrupt() = 0;
  // Calls `take` for each record, in ascending id.
  virtual absl::Status QueryRecords(const db::RecordFilter& filter,
                                    const std::function<void(const db::Record&)>& take) = 0;
  virtual absl::StatusOr<std::vector<db::Record>> Best(const std::string& task_key,
                                                       const std::string& device_class, int count,
                                                       const std::string& allowed = "") = 0;
  virtual absl::StatusOr<std::vector<db::Task>> ListTasks() = 0;
  // Every class that has records, by name.
  virtual absl::StatusOr<std::vector<RecordedClass>> ListDeviceClasses(
      const std::vector<std::string>& task_keys) = 0;
  // Trained models, the last stored first.
  virtual absl::StatusOr<std::vector<db::ModelInfo>> ListModels() = 0;
  virtual absl::StatusOr<tuner::ModelFile> GetModel(const std::string& name) = 0;
  virtual absl::Status PutModel(const tuner::ModelFile& model) = 0;
  virtual absl::StatusOr<std::vector<db::Device>> ListDevices() = 0;
  virtual absl::Status DrainDevice(const std::string& device, const std::string& reason) = 0;
  virtual absl::Status ResumeDevice(const std::string& device) = 0;
  // Of that purpose, the newest first, at most 1,000.
  virtual absl::StatusOr<std::vector<db::Comparison>> ListComparisons(
      const std::string& task_key, const std::string& device_class,
      db::ComparisonPurpose purpose) = 0;
  // Takes seconds. Cancelled after Interrupt.
  virtual absl::StatusOr<db::Comparison> CompareWithItself(int64_t record) = 0;
  // Those of the digests whose bytes the server doesn't have.
  virtual absl::StatusOr<std::vector<std::string>> FindMissing(
      const std::vector<std::string>& digests) = 0;
  // Cancelled after Interrupt.
  virtual absl::Status Upload(const std::string& digest, const std::string& bytes) = 0;
  // Items carry op, task and device class only; the answer has traces and records filled in.
  // `allowed`: as of JobOptions::allow, what the records may call.
  virtual absl::StatusOr<db::Selection> CreateSelection(const db::Selection& selection,
                                                        const std::string& allowed = "") = 0;
  // Of a model's selection the one whose programs are fastest in the model; tells what is being
  // done. Takes a minute, unless it was chosen before. FailedPrecondition without a device.
  virtual absl::StatusOr<db::Selection> ChooseInPlace(
      int64_t selection, const std::string& allowed,
      const std::function<void(const std::string&)>& doing) = 0;
  // The files of the library, whose names have no folder.
  virtual absl::StatusOr<std::vector<BuiltFile>> BuildLibrary(const LibraryOrder& order) = 0;
};

// What a server that is gone says, of what the client heard last, and what to do about it.
absl::Status WentAway(std::string_view address, std::string_view heard);
// Has a status of WentAway name another thing to do; others as they are.
absl::Status WithNextStep(const absl::Status& status, std::string_view step);

}  // namespace tessera::cli
