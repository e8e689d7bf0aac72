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
  // Makes the file, or reads it. `settings`: what the measurements hold for, in one line, a log's
  // first. InvalidArgument where the file is of other settings, or no such log; DataLoss, with the
  // line, where it is damaged; Unavailable while another process has it; else the system's.
  static absl::StatusOr<std::unique_ptr<MeasurementLog>> Open(const std::string& path,
                                                              std::string_view settings);

  std::optional<Measured> Find(uint64_t key) const;
  // Errors are those of writing; what was added is known then all the same.
  absl::Status Add(uint64_t key, const Measured& measured);
  size_t size() const;

 private:
  absl::Status ReadFile(std::string_view settings);
  absl::Status Parse(std::string_view text, std::string_view settings);
  absl::Status Append(std::string_view line);

  std::string path_;
  std::optional<FileLock> lock_;
  UniqueFd file_;      // invalid: in memory alone
  int64_t bytes_ = 0;  // of whole lines
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Measured> measured_ ABSL_GUARDED_BY(mutex_);
  // Orders lines; taken while the file is written.
  absl::Mutex file_mutex_;
};

}  // namespace tessera::codesign
