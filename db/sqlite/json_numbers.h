#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// Lists of numbers as JSON arrays in a column, so that SQL can look inside with json_each. Doubles
// survive exactly.

namespace tessera::db {

std::string NumbersToJson(const std::vector<double>& values);
std::string NumbersToJson(const std::vector<int64_t>& values);

// DataLoss for what those can't have written.
absl::StatusOr<std::vector<double>> DoublesFromJson(const std::string& json);
absl::StatusOr<std::vector<int64_t>> IntegersFromJson(const std::string& json);

}  // namespace tessera::db
