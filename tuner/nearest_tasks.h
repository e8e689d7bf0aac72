#pragma once

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::tuner {

// What tells which tasks are near: the feature row (costmodel/features.h) of the task's default
// schedule, which describes its sizes, its arithmetic and traffic, the target and the threads.
// Errors are those of the task's texts.
absl::StatusOr<std::vector<float>> TaskRow(const db::Task& task);

// How far two such rows are: most columns are logarithms, so about the doublings in which the tasks
// differ, summed over what is described.
double RowDistance(absl::Span<const float> a, absl::Span<const float> b);

// Finds near tasks and remembers rows, which take milliseconds each to make. Thread-safe.
class NearestTasks {
 public:
  // At most `count` of `tasks`, without `task` itself, nearest first, the earlier first of equals.
  // Leaves out what has no row. None where `task` has none.
  std::vector<db::Task> Find(const db::Task& task, absl::Span<const db::Task> tasks, int count);

 private:
  using Row = std::vector<float>;  // empty: the task has none
  Row RowOf(const db::Task& task, const std::string& key);

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Row> rows_ ABSL_GUARDED_BY(mutex_);  // by task key
};

}  // namespace tessera::tuner
