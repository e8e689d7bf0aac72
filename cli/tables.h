#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "db/record/record.h"

namespace tessera::cli {

// Rows under one line of titles; each column is as wide as what it holds, numbers to the right.
// Cells are shown as one line each (OneLine). Empty without rows.
class Table {
 public:
  // A title that begins with '>' heads a column of numbers.
  explicit Table(std::vector<std::string> titles);
  // As many cells as there are titles.
  void Add(std::vector<std::string> cells);
  std::string Text() const;

 private:
  std::vector<bool> is_number_;
  std::vector<std::vector<std::string>> rows_;
};

// What people call a task, by its key: its name and, where several tasks have that, what their keys
// begin with ("matmul 1cd14ef4").
std::map<std::string, std::string> TaskLabels(absl::Span<const db::Task> tasks);

// The tasks that `wanted` (of --task) names: by their name, what their key begins with, or both, as
// labels have them. All for an empty one. NotFound.
absl::StatusOr<std::vector<db::Task>> FindTasks(absl::Span<const db::Task> tasks,
                                                const std::string& wanted);

// What is to be said about the log's records that were not shown, of which there are some.
// `newest_first`: `limit` of the newest were shown, else those up to the id `last`.
std::string MoreText(bool newest_first, int64_t limit, int64_t last);

// What is so after a job was cancelled, or a device drained or resumed, in one line.
std::string CancelText(const db::Job& job);
std::string DrainText(const db::Device& device);
std::string ResumeText(const db::Device& device);
// When that was done and can't be looked at.
std::string UnseenText(const absl::Status& why);

// "job 3: 2 tasks, 128 trials in all (gradient), 1 thread on TARGET, device class CLASS".
std::string JobText(const db::Job& job);
// JobText with the job's state and, before its end, what it waits for and how to watch it.
std::string StateText(const db::Job& job);
std::string JobsTable(absl::Span<const db::Job> jobs);
// Those that are connected, or were seen less than a day before `now`.
std::vector<db::Device> DevicesOfToday(absl::Span<const db::Device> devices, absl::Time now);
// With their paces where one is known, and SlowDevicesText.
std::string DevicesTable(absl::Span<const db::Device> devices, absl::Time now);
// All that is known of each. `last_seen` is null for one that never connected.
std::string DevicesJson(absl::Span<const db::Device> devices);
// "1.06, of 4 programs"; "-" if it is not known.
std::string PaceText(const db::Pace& pace);
// A paragraph for each device that is much slower than the others of its class; empty if none is.
std::string SlowDevicesText(absl::Span<const db::Device> devices);

// "2 threads on TARGET, cold caches": what tells tasks of one workload apart.
std::string SettingText(const db::Task& task);

// The best records of tasks. A task without one takes a row with an empty record.
Table EmptyBestTable();
void AddToBest(Table& table, const db::Task& task, const db::Record& record);
// db::ToJsonLine with name, threads, target and cache of its task before the record.
std::string BestLine(const db::Task& task, const db::Record& record);

// Its rows are made as the records come, which are not kept. A task without a label is shown by
// what its key begins with.
Table EmptyLogTable();
void AddToLog(Table& table, const db::Record& record,
              const std::map<std::string, std::string>& labels);

}  // namespace tessera::cli
