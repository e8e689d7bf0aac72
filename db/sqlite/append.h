#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "db/record/record.h"
#include "db/sqlite/connection.h"

namespace tessera::db {

// Store::Append within a transaction of the caller, who undoes it on an error. Both lists have
// passed ValidateAppend. `now` stamps records without a time.
absl::StatusOr<std::vector<int64_t>> AppendRows(Connection& connection,
                                                absl::Span<const Record> records,
                                                absl::Span<const Event> events, absl::Time now);

}  // namespace tessera::db
