#include "db/sqlite/append.h"

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "db/sqlite/rows.h"

namespace tessera::db {
namespace {

// One look-up an id and call.
class Existence {
 public:
  Existence(Connection& connection, std::string_view count_sql, const char* what)
      : connection_(connection), count_sql_(count_sql), what_(what) {}

  absl::Status Require(int64_t id) {
    if (known_.contains(id)) return absl::OkStatus();
    TESSERA_ASSIGN_OR_RETURN(const int64_t count, connection_.QueryInt(count_sql_, {id}));
    if (count == 0) return absl::NotFoundError(absl::StrCat(what_, " ", id, " does not exist"));
    known_.insert(id);
    return absl::OkStatus();
  }

 private:
  Connection& connection_;
  std::string_view count_sql_;
  const char* what_;
  absl::flat_hash_set<int64_t> known_;
};

absl::Status CheckFits(Connection& connection, absl::Span<const Record> records,
                       absl::Span<const Event> events) {
  Existence jobs(connection, "SELECT count(*) FROM jobs WHERE id = ?", "job");
  Existence known_records(connection, "SELECT count(*) FROM records WHERE id = ?", "record");
  for (const Record& record : records) {
    if (record.job_id != 0) TESSERA_RETURN_IF_ERROR(jobs.Require(record.job_id));
  }
  absl::flat_hash_map<int64_t, int64_t> last;
  for (const Event& event : events) {
    TESSERA_RETURN_IF_ERROR(jobs.Require(event.job_id));
    auto [entry, first] = last.try_emplace(event.job_id, 0);
    if (first) {
      TESSERA_ASSIGN_OR_RETURN(
          entry->second,
          connection.QueryInt("SELECT coalesce(max(sequence), 0) FROM events WHERE job_id = ?",
                              {event.job_id}));
    }
    if (event.sequence != entry->second + 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("event ", event.sequence, " of job ", event.job_id,
                       " does not continue its log, which ends at ", entry->second));
    }
    ++entry->second;
    if (event.record_id != 0) TESSERA_RETURN_IF_ERROR(known_records.Require(event.record_id));
  }
  return absl::OkStatus();
}

// 0 when there is none.
absl::StatusOr<int64_t> FindAttempt(Connection& connection, const std::string& attempt_key) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor row, connection.Query("SELECT id FROM records WHERE attempt_key = ?", {attempt_key}));
  TESSERA_ASSIGN_OR_RETURN(const bool found, row.Next());
  return found ? row.Int(0) : 0;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> AppendRows(Connection& connection,
                                                absl::Span<const Record> records,
                                                absl::Span<const Event> events, absl::Time now) {
  TESSERA_RETURN_IF_ERROR(CheckFits(connection, records, events));
  TESSERA_ASSIGN_OR_RETURN(int64_t next_id,
                           connection.QueryInt("SELECT coalesce(max(id), 0) + 1 FROM records"));
  std::vector<int64_t> ids;
  for (const Record& record : records) {
    TESSERA_ASSIGN_OR_RETURN(int64_t id, FindAttempt(connection, record.attempt_key));
    if (id == 0) {
      id = next_id++;
      if (record.created == absl::Time()) {
        Record stamped = record;
        stamped.created = now;
        TESSERA_RETURN_IF_ERROR(InsertRecord(connection, id, stamped));
      } else {
        TESSERA_RETURN_IF_ERROR(InsertRecord(connection, id, record));
      }
    }
    ids.push_back(id);
  }
  for (size_t i = 0; i < events.size(); ++i) {
    const bool by_place = events[i].kind == EventKind::kResult && events[i].record_id == 0;
    TESSERA_RETURN_IF_ERROR(
        InsertEvent(connection, events[i], by_place ? ids[i] : events[i].record_id));
  }
  return ids;
}

}  // namespace tessera::db
