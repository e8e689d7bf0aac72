#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db/sqlite/connection.h"

namespace tessera::db {

// A released step is never edited: a change is a new step, and tests/db/sqlite/fixtures gains a
// database of the version before it.
struct Migration {
  int version;  // what PRAGMA user_version becomes; counts from 1 without gaps
  std::string_view name;
  std::string_view sql;
};
absl::Span<const Migration> Migrations();

// The newest schema that this build knows.
int SchemaVersion();

// PRAGMA application_id of every Tessera database: "TESS".
inline constexpr int kApplicationId = 0x54455353;

// Returns the database's version, 0 for an empty one, and writes nothing. FailedPrecondition for a
// schema newer than SchemaVersion() or a database of another application.
absl::StatusOr<int64_t> CheckSchema(Connection& connection);

// Brings an empty or older database that passes CheckSchema to SchemaVersion() in one transaction.
absl::Status Migrate(Connection& connection);

}  // namespace tessera::db
