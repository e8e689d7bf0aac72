#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "db/record/record.h"
#include "db/sqlite/connection.h"

// Trained models and comparisons, of which each is a row with rows of its parts. Within a
// transaction of the caller, who undoes it on an error; the values have passed
// db/record/validate.h.

namespace tessera::db {

// Store::PutModel. `now` stamps what has no time; so below.
absl::Status InsertModel(Connection& connection, const ModelInfo& model, absl::Time now);
absl::StatusOr<ModelInfo> SelectModel(Connection& connection, std::string_view name);
absl::StatusOr<std::vector<ModelInfo>> SelectModels(Connection& connection);

// Store::AppendComparison and ListComparisons.
absl::StatusOr<int64_t> InsertComparison(Connection& connection, const Comparison& comparison,
                                         absl::Time now);
absl::StatusOr<std::vector<Comparison>> SelectComparisons(Connection& connection,
                                                          std::string_view task_key,
                                                          std::string_view device_class,
                                                          std::optional<ComparisonPurpose> purpose,
                                                          int limit);

}  // namespace tessera::db
