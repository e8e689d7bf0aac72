#pragma once

#include <sqlite3.h>

#include <cstdlib>
#include <string>

namespace tessera::db {

// What another program does to a database, past the store.
class RawSqlite {
 public:
  explicit RawSqlite(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) std::abort();
  }
  ~RawSqlite() { sqlite3_close(handle_); }
  RawSqlite(const RawSqlite&) = delete;
  RawSqlite& operator=(const RawSqlite&) = delete;

  // Returns SQLite's message, empty when the statements ran.
  std::string Run(const std::string& sql) {
    char* message = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &message) == SQLITE_OK) return "";
    std::string text = message == nullptr ? "unknown error" : message;
    sqlite3_free(message);
    return text;
  }

  // Every column of every row, a line a row.
  std::string Select(const std::string& sql) {
    std::string text;
    auto append = [](void* out, int columns, char** values, char**) {
      for (int i = 0; i < columns; ++i) {
        if (i > 0) *static_cast<std::string*>(out) += "|";
        *static_cast<std::string*>(out) += values[i] == nullptr ? "NULL" : values[i];
      }
      *static_cast<std::string*>(out) += "\n";
      return 0;
    };
    if (sqlite3_exec(handle_, sql.c_str(), append, &text, nullptr) != SQLITE_OK) std::abort();
    return text;
  }

 private:
  sqlite3* handle_ = nullptr;
};

}  // namespace tessera::db
