#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "db/record/record.h"
#include "db/sqlite/connection.h"

namespace tessera::db {

// Store::QueryRecords.
absl::StatusOr<std::vector<Record>> SelectRecords(Connection& connection,
                                                  const RecordFilter& filter);

// Store::Best. Reads about as many rows as it returns, times the number of device classes where
// none is named.
absl::StatusOr<std::vector<Record>> SelectBest(Connection& connection, std::string_view task_key,
                                               std::string_view device_class, int count,
                                               std::string_view allowed);

// Store::ListDeviceClasses and ListRankedDeviceClasses: one look into an index a class.
absl::StatusOr<std::vector<std::string>> SelectDeviceClasses(Connection& connection);
absl::StatusOr<std::vector<std::string>> SelectRankedClasses(Connection& connection,
                                                             std::string_view task_key);

}  // namespace tessera::db
