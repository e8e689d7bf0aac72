#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tessera::db {

struct Blob {
  std::string_view bytes;
};
// std::monostate is NULL.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string_view, Blob>;

class Connection;

// The rows of one running statement. At most one cursor a statement text and connection; the
// connection must outlive it.
class Cursor {
 public:
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  // Moves to the next row; false behind the last one.
  absl::StatusOr<bool> Next();

  // Columns of the current row, from 0.
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  std::string Bytes(int column) const;

 private:
  friend class Connection;
  Cursor(Connection& connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}

  Connection& connection_;
  sqlite3_stmt* statement_;
};

// Every row of `cursor` through `read`, which takes the row and returns StatusOr<T>.
template <typename T, typename Read>
absl::StatusOr<std::vector<T>> ReadAll(Cursor cursor, Read read) {
  std::vector<T> values;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return values;
    TESSERA_ASSIGN_OR_RETURN(T value, read(cursor));
    values.push_back(std::move(value));
  }
}

// One SQLite connection with its prepared statements. Not thread-safe: one thread at a time.
// Errors: ResourceExhausted (disk or size limit), Unavailable (locked by another program, I/O),
// DataLoss (not a database, or damaged), PermissionDenied, InvalidArgument (a value too large);
// Internal is a bug of ours. Messages name the file.
class Connection {
 public:
  enum class Mode { kReadWriteCreate, kReadOnly };
  // Statements wait up to `lock_wait` for another program that writes.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, Mode mode,
                                                          absl::Duration lock_wait);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Prepares `sql` once and keeps it: texts must come from a bounded set.
  absl::StatusOr<Cursor> Query(std::string_view sql, std::initializer_list<SqlValue> values = {});
  absl::StatusOr<Cursor> Query(std::string_view sql, const SqlValue* values, size_t count);
  // Runs a statement without interest in its rows.
  absl::Status Execute(std::string_view sql, std::initializer_list<SqlValue> values = {});
  // Runs statements separated by semicolons, not kept.
  absl::Status ExecuteScript(std::string_view sql);
  // The first column of the first row, which must exist.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql,
                                   std::initializer_list<SqlValue> values = {});

  int64_t last_insert_id() const;
  bool in_transaction() const;
  const std::string& path() const { return path_; }

  // Refuses to let the file grow above `bytes`.
  absl::Status LimitSize(int64_t bytes);

 private:
  friend class Cursor;
  Connection(std::string path, absl::Duration lock_wait)
      : path_(std::move(path)), lock_wait_(lock_wait) {}
  absl::StatusOr<sqlite3_stmt*> Prepare(std::string_view sql);
  absl::Status Error(int code) const;

  const std::string path_;
  const absl::Duration lock_wait_;
  int64_t size_limit_bytes_ = 0;  // 0 = none
  sqlite3* handle_ = nullptr;
  absl::flat_hash_map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace tessera::db
