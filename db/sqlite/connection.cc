#include "db/sqlite/connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::db {
namespace {

struct Binder {
  sqlite3_stmt* statement;
  int place;

  int operator()(std::monostate) const { return sqlite3_bind_null(statement, place); }
  int operator()(int64_t value) const { return sqlite3_bind_int64(statement, place, value); }
  int operator()(double value) const { return sqlite3_bind_double(statement, place, value); }
  int operator()(std::string_view value) const {
    // An empty view may hold a null pointer, which SQLite would take for NULL.
    return sqlite3_bind_text64(statement, place, value.empty() ? "" : value.data(), value.size(),
                               SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  int operator()(Blob value) const {
    if (value.bytes.empty()) return sqlite3_bind_zeroblob(statement, place, 0);
    return sqlite3_bind_blob64(statement, place, value.bytes.data(), value.bytes.size(),
                               SQLITE_TRANSIENT);
  }
};

bool DiskIsFull(int code, int system_errno) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  return (code & 0xff) == SQLITE_IOERR &&
         (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG);
}

}  // namespace

Cursor::Cursor(Cursor&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

Cursor::~Cursor() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

absl::StatusOr<bool> Cursor::Next() {
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_.Error(code);
}

bool Cursor::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
int64_t Cursor::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Cursor::Real(int column) const { return sqlite3_column_double(statement_, column); }
std::string Cursor::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? "" : std::string(text, sqlite3_column_bytes(statement_, column));
}
std::string Cursor::Bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? "" : std::string(bytes, sqlite3_column_bytes(statement_, column));
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, Mode mode,
                                                             absl::Duration lock_wait) {
  std::unique_ptr<Connection> connection(new Connection(path, lock_wait));
  const int access =
      mode == Mode::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code =
      sqlite3_open_v2(path.c_str(), &connection->handle_, access | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) return connection->Error(code);
  sqlite3_extended_result_codes(connection->handle_, 1);
  sqlite3_busy_timeout(connection->handle_, static_cast<int>(absl::ToInt64Milliseconds(lock_wait)));
  return connection;
}

Connection::~Connection() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

absl::StatusOr<sqlite3_stmt*> Connection::Prepare(std::string_view sql) {
  std::string key(sql);
  if (auto found = statements_.find(key); found != statements_.end()) {
    TESSERA_CHECK(!sqlite3_stmt_busy(found->second));
    return found->second;
  }
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  statements_.emplace(std::move(key), statement);
  return statement;
}

absl::StatusOr<Cursor> Connection::Query(std::string_view sql,
                                         std::initializer_list<SqlValue> values) {
  return Query(sql, values.begin(), values.size());
}

absl::StatusOr<Cursor> Connection::Query(std::string_view sql, const SqlValue* values,
                                         size_t count) {
  TESSERA_ASSIGN_OR_RETURN(sqlite3_stmt * statement, Prepare(sql));
  TESSERA_CHECK(sqlite3_bind_parameter_count(statement) == static_cast<int>(count));
  Cursor cursor(*this, statement);
  for (size_t i = 0; i < count; ++i) {
    const int code = std::visit(Binder{statement, static_cast<int>(i) + 1}, values[i]);
    if (code != SQLITE_OK) return Error(code);
  }
  return cursor;
}

absl::Status Connection::Execute(std::string_view sql, std::initializer_list<SqlValue> values) {
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, Query(sql, values));
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return absl::OkStatus();
  }
}

absl::Status Connection::ExecuteScript(std::string_view sql) {
  errno = 0;
  const int code = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql,
                                             std::initializer_list<SqlValue> values) {
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, Query(sql, values));
  TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
  if (!row) return absl::InternalError(absl::StrCat("no row from: ", std::string(sql)));
  return cursor.Int(0);
}

int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

absl::Status Connection::LimitSize(int64_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t page_bytes, QueryInt("PRAGMA page_size"));
  const int64_t pages = std::max<int64_t>(bytes / page_bytes, 1);
  size_limit_bytes_ = bytes;
  return ExecuteScript(absl::StrCat("PRAGMA max_page_count=", pages));
}

absl::Status Connection::Error(int code) const {
  // SQLite keeps no errno of a write that fails during COMMIT; then the thread's own tells.
  const int thread_errno = errno;
  const int kept_errno = handle_ == nullptr ? 0 : sqlite3_system_errno(handle_);
  const int system_errno = kept_errno != 0 ? kept_errno : thread_errno;
  const std::string detail = absl::StrCat(
      "database ", path_, ": ", handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_),
      " (SQLite ", code, ")");
  if (DiskIsFull(code, system_errno)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        detail, "; nothing was written; ",
        size_limit_bytes_ > 0
            ? absl::StrCat("free disk space or raise the limit of ", size_limit_bytes_, " bytes")
            : "free disk space"));
  }
  switch (code & 0xff) {
    case SQLITE_NOTADB:
      return absl::DataLossError(
          absl::StrCat(detail, "; give the path of a Tessera database or of a new file"));
    case SQLITE_CORRUPT:
      return absl::DataLossError(
          absl::StrCat(detail, "; restore a backup, or save what is readable with `sqlite3 ", path_,
                       " .recover`"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return absl::UnavailableError(
          absl::StrCat(detail, "; another program has been writing to it for ",
                       absl::FormatDuration(lock_wait_), ", end that program or try again"));
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS) {
        return absl::DataLossError(absl::StrCat(detail, "; the file is cut short or damaged"));
      }
      return absl::UnavailableError(
          absl::StrCat(detail, ", errno ", system_errno, "; check the disk"));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(
          absl::StrCat(detail, "; the file and its folder must be writable"));
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(absl::StrCat(detail, "; free memory"));
    case SQLITE_TOOBIG:
      return absl::InvalidArgumentError(absl::StrCat(detail, "; the limit is 10^9 bytes a value"));
    default:
      return absl::InternalError(detail);
  }
}

}  // namespace tessera::db
