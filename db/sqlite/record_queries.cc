#include "db/sqlite/record_queries.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/pace.h"
#include "db/sqlite/rows.h"

namespace tessera::db {
namespace {

// Of the devices whose pace is not 1.
absl::StatusOr<PaceTable> SelectPaces(Connection& connection) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor cursor,
      connection.Query("SELECT id, device_class, pace FROM devices WHERE pace <> 1"));
  PaceTable paces;
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return paces;
    paces.Add(cursor.Text(0), cursor.Text(1), cursor.Real(2));
  }
}

// Reads records_ranking in its order and stops early.
absl::StatusOr<std::vector<Record>> SelectBestOfClass(Connection& connection,
                                                      std::string_view task_key,
                                                      std::string_view device_class, int count,
                                                      std::string_view allowed,
                                                      const PaceTable& paces) {
  static const std::string sql =
      absl::StrCat("SELECT ", AbslView(kRecordColumns),
                   " FROM records WHERE task_key = ? AND device_class = ? AND outcome = 'ok' AND "
                   "stale = 0 ORDER BY cost_seconds, id");
  BestRecords best(count, paces, allowed);
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, {task_key, device_class}));
  while (true) {
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) break;
    TESSERA_ASSIGN_OR_RETURN(Record record, ReadRecord(cursor));
    if (!best.Offer(std::move(record))) break;
  }
  return std::move(best).Take();
}

// What is among the best of all is among the best of its class.
absl::StatusOr<std::vector<Record>> SelectBestOfAll(Connection& connection,
                                                    std::string_view task_key, int count,
                                                    std::string_view allowed,
                                                    const PaceTable& paces) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> classes,
                           SelectRankedClasses(connection, task_key));
  std::vector<Record> candidates;
  for (const std::string& device_class : classes) {
    TESSERA_ASSIGN_OR_RETURN(
        std::vector<Record> best,
        SelectBestOfClass(connection, task_key, device_class, count, allowed, paces));
    std::move(best.begin(), best.end(), std::back_inserter(candidates));
  }
  std::sort(candidates.begin(), candidates.end(), [](const Record& a, const Record& b) {
    return std::pair(a.CostSeconds(), a.id) < std::pair(b.CostSeconds(), b.id);
  });
  std::vector<Record> best;
  absl::flat_hash_set<std::string> traces;
  for (Record& record : candidates) {
    if (static_cast<int>(best.size()) >= count) break;
    if (traces.insert(record.trace).second) best.push_back(std::move(record));
  }
  return best;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> SelectDeviceClasses(Connection& connection) {
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor,
                           connection.Query("WITH RECURSIVE classes (name) AS ("
                                            " SELECT min(device_class) FROM records"
                                            " UNION ALL"
                                            " SELECT (SELECT min(device_class) FROM records"
                                            "  WHERE device_class > classes.name)"
                                            "  FROM classes WHERE classes.name IS NOT NULL) "
                                            "SELECT name FROM classes WHERE name IS NOT NULL"));
  return ReadAll<std::string>(std::move(cursor), [](const Cursor& row) {
    return absl::StatusOr<std::string>(row.Text(0));
  });
}

absl::StatusOr<std::vector<std::string>> SelectRankedClasses(Connection& connection,
                                                             std::string_view task_key) {
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor,
                           connection.Query("WITH RECURSIVE classes (name) AS ("
                                            " SELECT min(device_class) FROM records"
                                            "  WHERE task_key = ?1 AND outcome = 'ok' AND stale = 0"
                                            " UNION ALL"
                                            " SELECT (SELECT min(device_class) FROM records"
                                            "  WHERE task_key = ?1 AND outcome = 'ok' AND stale = 0"
                                            "   AND device_class > classes.name)"
                                            "  FROM classes WHERE classes.name IS NOT NULL) "
                                            "SELECT name FROM classes WHERE name IS NOT NULL",
                                            {task_key}));
  return ReadAll<std::string>(std::move(cursor), [](const Cursor& row) {
    return absl::StatusOr<std::string>(row.Text(0));
  });
}

absl::StatusOr<std::vector<Record>> SelectRecords(Connection& connection,
                                                  const RecordFilter& filter) {
  std::string sql = absl::StrCat("SELECT ", AbslView(kRecordColumns), " FROM records WHERE id > ?");
  std::vector<SqlValue> values = {filter.after_id};
  auto require = [&](const char* condition, SqlValue value) {
    absl::StrAppend(&sql, " AND ", condition);
    values.push_back(value);
  };
  if (filter.before_id > 0) require("id < ?", filter.before_id);
  if (!filter.task_key.empty()) require("task_key = ?", filter.task_key);
  if (!filter.workload_hash.empty()) {
    require("task_key IN (SELECT key FROM tasks WHERE workload_hash = ?)", filter.workload_hash);
  }
  if (!filter.device_class.empty()) {
    // The plus keeps the index of a class from standing in for a narrower one.
    const bool narrower =
        !filter.task_key.empty() || !filter.workload_hash.empty() || filter.job_id != 0;
    require(narrower ? "+device_class = ?" : "device_class = ?", filter.device_class);
  }
  if (filter.job_id != 0) require("job_id = ?", filter.job_id);
  // Each outcome once, so that the number of different statements stays small.
  std::vector<Outcome> outcomes = filter.outcomes;
  std::sort(outcomes.begin(), outcomes.end());
  outcomes.erase(std::unique(outcomes.begin(), outcomes.end()), outcomes.end());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    absl::StrAppend(&sql, i == 0 ? " AND outcome IN (?" : ", ?");
    values.push_back(ToString(outcomes[i]));
  }
  absl::StrAppend(&sql, outcomes.empty() ? "" : ")", " ORDER BY id",
                  filter.newest_first ? " DESC" : "", " LIMIT ?");
  values.push_back(std::max<int64_t>(filter.limit, 0));
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, values.data(), values.size()));
  TESSERA_ASSIGN_OR_RETURN(std::vector<Record> records,
                           ReadAll<Record>(std::move(cursor), ReadRecord));
  TESSERA_ASSIGN_OR_RETURN(const PaceTable paces, SelectPaces(connection));
  for (Record& record : records) record.pace = paces.Of(record);
  return records;
}

absl::StatusOr<std::vector<Record>> SelectBest(Connection& connection, std::string_view task_key,
                                               std::string_view device_class, int count,
                                               std::string_view allowed) {
  TESSERA_ASSIGN_OR_RETURN(const PaceTable paces, SelectPaces(connection));
  return device_class.empty()
             ? SelectBestOfAll(connection, task_key, count, allowed, paces)
             : SelectBestOfClass(connection, task_key, device_class, count, allowed, paces);
}

}  // namespace tessera::db
