#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"
#include "db/sqlite/connection.h"

// Domain type ↔ row. The column lists are what a SELECT must name for its Read function. A stored
// word that is unknown is DataLoss.

namespace tessera::db {

extern const std::string_view kRecordColumns;
absl::StatusOr<Record> ReadRecord(const Cursor& row);
// `id` is chosen by the caller; `created` must be set.
absl::Status InsertRecord(Connection& connection, int64_t id, const Record& record);

extern const std::string_view kEventColumns;
absl::StatusOr<Event> ReadEvent(const Cursor& row);
absl::Status InsertEvent(Connection& connection, const Event& event, int64_t record_id);

// Without tasks.
extern const std::string_view kJobColumns;
absl::StatusOr<Job> ReadJob(const Cursor& row);
absl::StatusOr<int64_t> InsertJob(Connection& connection, const Job& job, absl::Time now);

// All but name and weight, from column `first` on.
extern const std::string_view kTaskColumns;
inline constexpr int kTaskColumnCount = 5;
absl::StatusOr<Task> ReadTask(const Cursor& row, int first);
// Returns the row id of the task, inserted if it is new.
absl::StatusOr<int64_t> InternTask(Connection& connection, const Task& task);

extern const std::string_view kDeviceColumns;
Device ReadDevice(const Cursor& row);
absl::Status UpsertDevice(Connection& connection, const Device& device);

absl::Time FromMicros(int64_t microseconds);

}  // namespace tessera::db
