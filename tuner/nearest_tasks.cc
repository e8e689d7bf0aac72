#include "tuner/nearest_tasks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/te/dag.h"
#include "costmodel/features.h"

namespace tessera::tuner {
namespace {

// A larger text has hundreds of stages: it takes long to describe and is like no other.
constexpr size_t kMaxWorkloadBytes = 16 << 10;
// Rows that are remembered: about a kilobyte each. Beyond that the memory begins anew.
constexpr size_t kMaxRows = 8192;

}  // namespace

absl::StatusOr<std::vector<float>> TaskRow(const db::Task& task) {
  TESSERA_ASSIGN_OR_RETURN(const te::Workload workload, te::ParseWorkload(task.workload));
  TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
  ir::Target limited = target;
  limited.max_threads = task.threads;
  TESSERA_ASSIGN_OR_RETURN(const schedule::Trace trace,
                           schedule::DefaultTrace(workload.dag, limited));
  return costmodel::TraceFeatures(workload.dag, target, task.threads, trace);
}

double RowDistance(absl::Span<const float> a, absl::Span<const float> b) {
  TESSERA_CHECK(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(double{a[i]} - double{b[i]});
  return sum;
}

std::vector<KeyedTask> WithKeys(absl::Span<const db::Task> tasks) {
  return {tasks.begin(), tasks.end()};
}

NearestTasks::Row NearestTasks::RowOf(const KeyedTask& task) {
  {
    absl::MutexLock lock(&mutex_);
    if (const auto found = rows_.find(task.key); found != rows_.end()) return found->second;
  }
  Row row;
  if (task.task.workload.size() <= kMaxWorkloadBytes) {
    if (auto made = TaskRow(task.task); made.ok()) {
      row = std::make_shared<const std::vector<float>>(*std::move(made));
    }
  }
  absl::MutexLock lock(&mutex_);
  if (rows_.size() >= kMaxRows) rows_.clear();
  rows_[task.key] = row;
  return row;
}

std::vector<size_t> NearestTasks::Find(const KeyedTask& task, absl::Span<const KeyedTask> tasks,
                                       int count) {
  const Row own = RowOf(task);
  if (own == nullptr) return {};
  std::vector<std::pair<double, size_t>> distances;
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i].key == task.key) continue;
    const Row row = RowOf(tasks[i]);
    if (row == nullptr || row->size() != own->size()) continue;
    distances.emplace_back(RowDistance(*own, *row), i);
  }
  const size_t found = std::min(distances.size(), static_cast<size_t>(count));
  std::partial_sort(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(found),
                    distances.end());
  std::vector<size_t> nearest;
  for (size_t i = 0; i < found; ++i) nearest.push_back(distances[i].second);
  return nearest;
}

}  // namespace tessera::tuner
