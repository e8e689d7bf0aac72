#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/file_lock.h"
#include "base/unique_fd.h"
#include "codesign/activity.h"

namespace tessera::codesign {

// What came of a program on a variant: what it did, or why there is no such program.
struct Measured {
  Activity activity;
  std::string failure;  // empty: it ran
  friend bool operator==(const Measured&, const Measured&) = default;
};

// What was simulated, by what decides its result, so that nothing is simulated twice. In a file it
// outlives the process: one line of JSON each, on disk when Add returns; a line that was cut off
// when the process was killed is dropped. Thread-safe.
class MeasurementLog {
 public:
  MeasurementLog() = default;  // in memory alone
  // Makes the file, or reads it. `version`: of the compiler and simulator, whose measurements it
  // keeps, of any network and device; a log's first line. InvalidArgument where the file is of
  // another version, or no such log; DataLoss, with the line, where it is damaged; Unavailable
  // while another process has it; else the system's.
  static absl::StatusOr<std::unique_ptr<MeasurementLog>> Open(const std::string& path,
                                                              std::string_view version);

  std::optional<Measured> Find(uint64_t key) const;
  // On disk, and known, when this returns OK; what is known already is left as it is. Errors are
  // those of writing, a full disk's for one. After the first nothing is written any more, and each
  // call for what isn't known returns it: the file keeps its whole lines.
  absl::Status Add(uint64_t key, const Measured& measured);
  size_t size() const;

 private:
  absl::Status ReadFile(std::string_view version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  absl::Status Parse(std::string_view text, std::string_view version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  absl::Status Append(std::string_view line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  absl::Status Write(std::string_view text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);

  std::string path_;
  std::optional<FileLock> lock_;
  UniqueFd file_;  // invalid: in memory alone
  // Orders lines; taken while the file is written, before mutex_.
  absl::Mutex file_mutex_;
  int64_t bytes_ ABSL_GUARDED_BY(file_mutex_) = 0;    // of whole lines
  absl::Status broken_ ABSL_GUARDED_BY(file_mutex_);  // why nothing is written any more
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Measured> measured_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::codesign
