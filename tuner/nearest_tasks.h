#pragma once

#include <memory>
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

// A task, which outlives this, with its key. That is a hash of all its text, made once for many
// searches.
struct KeyedTask {
  explicit KeyedTask(const db::Task& of) : task(of), key(of.Key()) {}
  explicit KeyedTask(db::Task&&) = delete;
  const db::Task& task;
  std::string key;
};
std::vector<KeyedTask> WithKeys(absl::Span<const db::Task> tasks);

// Finds near tasks and remembers rows, which take milliseconds each to make. Thread-safe.
class NearestTasks {
 public:
  // The places in `tasks` of at most `count`, without `task` itself, nearest first, the earlier
  // first of equals. Leaves out what has no row, or that of another kind of target. None where
  // `task` has none.
  std::vector<size_t> Find(const KeyedTask& task, absl::Span<const KeyedTask> tasks, int count);

 private:
  using Row = std::shared_ptr<const std::vector<float>>;  // null: the task has none
  Row RowOf(const KeyedTask& task);

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Row> rows_ ABSL_GUARDED_BY(mutex_);  // by task key
};

}  // namespace tessera::tuner
