#include "db/sqlite/sqlite_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/view.h"
#include "db/record/validate.h"
#include "db/sqlite/append.h"
#include "db/sqlite/migrations.h"
#include "db/sqlite/model_rows.h"
#include "db/sqlite/record_queries.h"
#include "db/sqlite/rows.h"

namespace tessera::db {
namespace {

absl::Status RequireJob(Connection& connection, int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t count,
                           connection.QueryInt("SELECT count(*) FROM jobs WHERE id = ?", {id}));
  return count == 0 ? NoSuch("job", id) : absl::OkStatus();
}

absl::StatusOr<std::vector<Task>> ReadJobTasks(Connection& connection, int64_t job_id) {
  static const std::string sql =
      absl::StrCat("SELECT job_tasks.name, job_tasks.weight, ", AbslView(kTaskColumns),
                   " FROM job_tasks JOIN tasks ON tasks.id = job_tasks.task_id "
                   "WHERE job_tasks.job_id = ? ORDER BY job_tasks.position");
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, {job_id}));
  return ReadAll<Task>(std::move(cursor), [](const Cursor& row) -> absl::StatusOr<Task> {
    TESSERA_ASSIGN_OR_RETURN(Task task, ReadTask(row, 2));
    task.name = row.Text(0);
    task.weight = row.Real(1);
    return task;
  });
}

// The job that has the value in a unique column, if there is one.
absl::StatusOr<std::optional<Job>> ReadJobWithTasks(Connection& connection, const char* column,
                                                    const SqlValue& value) {
  TESSERA_ASSIGN_OR_RETURN(Cursor row,
                           connection.Query(absl::StrCat("SELECT ", AbslView(kJobColumns),
                                                         " FROM jobs WHERE ", column, " = ?"),
                                            {value}));
  TESSERA_ASSIGN_OR_RETURN(const bool exists, row.Next());
  if (!exists) return std::nullopt;
  TESSERA_ASSIGN_OR_RETURN(Job job, ReadJob(row));
  TESSERA_ASSIGN_OR_RETURN(job.tasks, ReadJobTasks(connection, job.id));
  return job;
}

absl::StatusOr<int64_t> InsertJobWithTasks(Connection& connection, const Job& job, absl::Time now) {
  if (!job.options.idempotency_key.empty()) {
    TESSERA_ASSIGN_OR_RETURN(Cursor row,
                             connection.Query("SELECT id FROM jobs WHERE idempotency_key = ?",
                                              {job.options.idempotency_key}));
    TESSERA_ASSIGN_OR_RETURN(const bool exists, row.Next());
    if (exists) return row.Int(0);
  }
  TESSERA_ASSIGN_OR_RETURN(const int64_t id, InsertJob(connection, job, now));
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    const Task& task = job.tasks[i];
    TESSERA_ASSIGN_OR_RETURN(const int64_t task_id, InternTask(connection, task));
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO job_tasks (job_id, position, task_id, name, weight) VALUES (?,?,?,?,?)",
        {id, static_cast<int64_t>(i), task_id, task.name, task.weight}));
  }
  return id;
}

absl::StatusOr<int64_t> InsertSelection(Connection& connection, const Selection& selection,
                                        absl::Time now) {
  TESSERA_RETURN_IF_ERROR(
      connection.Execute("INSERT INTO selections (name, created_us, graph) VALUES (?,?,?)",
                         {selection.name, absl::ToUnixMicros(now),
                          selection.model ? selection.model->graph : std::string()}));
  const int64_t id = connection.last_insert_id();
  for (size_t i = 0; selection.model && i < selection.model->constants.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO selection_constants (selection_id, position, digest) VALUES (?,?,?)",
        {id, static_cast<int64_t>(i), selection.model->constants[i]}));
  }
  for (size_t i = 0; i < selection.items.size(); ++i) {
    const SelectionItem& item = selection.items[i];
    if (item.record_id != 0) {
      TESSERA_ASSIGN_OR_RETURN(
          const int64_t count,
          connection.QueryInt("SELECT count(*) FROM records WHERE id = ?", {item.record_id}));
      if (count == 0) return NoSuch("record", item.record_id);
    }
    TESSERA_ASSIGN_OR_RETURN(const int64_t task_id, InternTask(connection, item.task));
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO selection_items (selection_id, position, op, task_id, task_name, "
        "task_weight, trace, record_id, seconds, device_class, in_place_seconds, device) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        {id, static_cast<int64_t>(i), item.op, task_id, item.task.name, item.task.weight,
         item.trace, item.record_id, item.seconds, item.device_class, item.in_place_seconds,
         item.device}));
  }
  if (selection.in_place) {
    const InPlace& in_place = *selection.in_place;
    TESSERA_RETURN_IF_ERROR(connection.Execute(
        "INSERT INTO selections_in_place (selection_id, key, device, seconds, alone_seconds, "
        "default_seconds) VALUES (?,?,?,?,?,?)",
        {id, in_place.key, in_place.device, in_place.seconds, in_place.alone_seconds,
         in_place.default_seconds}));
  }
  return id;
}

absl::StatusOr<std::vector<SelectionItem>> ReadSelectionItems(Connection& connection, int64_t id) {
  static const std::string sql = absl::StrCat(
      "SELECT op, task_name, task_weight, trace, record_id, seconds, device_class, "
      "in_place_seconds, device, ",
      AbslView(kTaskColumns),
      " FROM selection_items JOIN tasks ON tasks.id = selection_items.task_id "
      "WHERE selection_id = ? ORDER BY position");
  TESSERA_ASSIGN_OR_RETURN(Cursor cursor, connection.Query(sql, {id}));
  return ReadAll<SelectionItem>(std::move(cursor),
                                [](const Cursor& row) -> absl::StatusOr<SelectionItem> {
                                  SelectionItem item;
                                  TESSERA_ASSIGN_OR_RETURN(item.task, ReadTask(row, 9));
                                  item.op = row.Text(0);
                                  item.task.name = row.Text(1);
                                  item.task.weight = row.Real(2);
                                  item.trace = row.Text(3);
                                  item.record_id = row.Int(4);
                                  item.seconds = row.Real(5);
                                  item.device_class = row.Text(6);
                                  item.in_place_seconds = row.Real(7);
                                  item.device = row.Text(8);
                                  return item;
                                });
}

absl::StatusOr<std::optional<SelectionModel>> ReadSelectionModel(Connection& connection, int64_t id,
                                                                 std::string graph) {
  if (graph.empty()) return std::nullopt;
  TESSERA_ASSIGN_OR_RETURN(
      Cursor cursor,
      connection.Query(
          "SELECT digest FROM selection_constants WHERE selection_id = ? ORDER BY position", {id}));
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<std::string> constants,
      ReadAll<std::string>(std::move(cursor), [](const Cursor& row) -> absl::StatusOr<std::string> {
        return row.Text(0);
      }));
  return SelectionModel{std::move(graph), std::move(constants)};
}

absl::StatusOr<std::optional<InPlace>> ReadInPlace(Connection& connection, int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor row, connection.Query("SELECT key, device, seconds, alone_seconds, default_seconds "
                                   "FROM selections_in_place WHERE selection_id = ?",
                                   {id}));
  TESSERA_ASSIGN_OR_RETURN(const bool exists, row.Next());
  if (!exists) return std::nullopt;
  return InPlace{row.Text(0), row.Text(1), row.Real(2), row.Real(3), row.Real(4)};
}

absl::StatusOr<Selection> ReadSelection(Connection& connection, int64_t id) {
  TESSERA_ASSIGN_OR_RETURN(
      Cursor cursor,
      connection.Query("SELECT name, created_us, graph FROM selections WHERE id = ?", {id}));
  TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
  if (!row) return NoSuch("selection", id);
  Selection selection;
  selection.id = id;
  selection.name = cursor.Text(0);
  selection.created = FromMicros(cursor.Int(1));
  TESSERA_ASSIGN_OR_RETURN(selection.model, ReadSelectionModel(connection, id, cursor.Text(2)));
  TESSERA_ASSIGN_OR_RETURN(selection.items, ReadSelectionItems(connection, id));
  TESSERA_ASSIGN_OR_RETURN(selection.in_place, ReadInPlace(connection, id));
  return selection;
}

absl::Status Configure(Connection& connection) {
  {
    TESSERA_ASSIGN_OR_RETURN(Cursor row, connection.Query("PRAGMA journal_mode=WAL"));
    TESSERA_ASSIGN_OR_RETURN(const bool answered, row.Next());
    if (!answered || row.Text(0) != "wal") {
      return absl::FailedPreconditionError(
          absl::StrCat("database ", connection.path(),
                       ": its file system has no shared memory for a write-ahead log; move it to "
                       "a local disk"));
    }
  }
  // The log file shrinks back to this size after a burst.
  return connection.ExecuteScript(
      "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA journal_size_limit=67108864");
}

// Runs `work`, which returns StatusOr<T>, through `run` of a Writer or ReaderPool.
template <typename T, typename Runner, typename Work>
absl::StatusOr<T> RunFor(Runner& runner, Work work) {
  absl::StatusOr<T> result = absl::UnknownError("not run");
  TESSERA_RETURN_IF_ERROR(runner.Run([&](Connection& connection) {
    result = work(connection);
    return result.status();
  }));
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::string& path,
                                                               Clock& clock,
                                                               const SqliteOptions& options) {
  if (path.empty() || path.front() == ':' || absl::StartsWith(path, "file:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("database path \"", path, "\": must be the path of a file"));
  }
  TESSERA_ASSIGN_OR_RETURN(
      FileLock lock,
      FileLock::Acquire(path + ".lock", absl::StrCat("database ", path),
                        "one server at a time may open it: stop that one or give another path"));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<Connection> connection,
      Connection::Open(path, Connection::Mode::kReadWriteCreate, options.lock_wait));
  TESSERA_RETURN_IF_ERROR(CheckSchema(*connection).status());
  TESSERA_RETURN_IF_ERROR(Configure(*connection));
  if (options.max_bytes > 0) TESSERA_RETURN_IF_ERROR(connection->LimitSize(options.max_bytes));
  TESSERA_RETURN_IF_ERROR(Migrate(*connection));
  return std::unique_ptr<SqliteStore>(
      new SqliteStore(path, std::move(lock), std::move(connection), options, clock));
}

absl::StatusOr<int64_t> SqliteStore::CreateJob(const Job& job) {
  TESSERA_RETURN_IF_ERROR(ValidateJob(job));
  const absl::Time now = clock_.Now();
  return RunFor<int64_t>(writer_, [&](Connection& c) { return InsertJobWithTasks(c, job, now); });
}

absl::Status SqliteStore::SetJobState(int64_t id, JobState state, std::string_view message) {
  const int64_t now_us = absl::ToUnixMicros(clock_.Now());
  return writer_.Run([&](Connection& c) -> absl::Status {
    TESSERA_RETURN_IF_ERROR(RequireJob(c, id));
    return c.Execute("UPDATE jobs SET state = ?, message = ?, updated_us = ? WHERE id = ?",
                     {ToString(state), message, now_us, id});
  });
}

absl::StatusOr<Job> SqliteStore::GetJob(int64_t id) {
  return RunFor<Job>(readers_, [&](Connection& c) -> absl::StatusOr<Job> {
    TESSERA_ASSIGN_OR_RETURN(std::optional<Job> job, ReadJobWithTasks(c, "id", id));
    if (!job) return NoSuch("job", id);
    return *std::move(job);
  });
}

absl::StatusOr<Job> SqliteStore::FindJob(std::string_view idempotency_key) {
  return RunFor<Job>(readers_, [&](Connection& c) -> absl::StatusOr<Job> {
    TESSERA_ASSIGN_OR_RETURN(std::optional<Job> job,
                             ReadJobWithTasks(c, "idempotency_key", idempotency_key));
    if (!job) return NoJobHasKey(idempotency_key);
    return *std::move(job);
  });
}

absl::StatusOr<std::vector<Job>> SqliteStore::ListJobs(int limit) {
  static const std::string sql =
      absl::StrCat("SELECT ", AbslView(kJobColumns), " FROM jobs ORDER BY id DESC LIMIT ?");
  using Jobs = std::vector<Job>;
  return RunFor<Jobs>(readers_, [&](Connection& c) -> absl::StatusOr<Jobs> {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, c.Query(sql, {int64_t{std::max(limit, 0)}}));
    TESSERA_ASSIGN_OR_RETURN(Jobs jobs, ReadAll<Job>(std::move(cursor), ReadJob));
    for (Job& job : jobs) {
      TESSERA_ASSIGN_OR_RETURN(job.tasks, ReadJobTasks(c, job.id));
    }
    return jobs;
  });
}

absl::StatusOr<std::vector<int64_t>> SqliteStore::Append(absl::Span<const Record> records,
                                                         absl::Span<const Event> events) {
  TESSERA_RETURN_IF_ERROR(ValidateAppend(records, events));
  const absl::Time now = clock_.Now();
  return RunFor<std::vector<int64_t>>(
      writer_, [&](Connection& c) { return AppendRows(c, records, events, now); });
}

absl::StatusOr<std::vector<Event>> SqliteStore::ReadEvents(int64_t job_id, int64_t after_sequence) {
  static const std::string sql =
      absl::StrCat("SELECT ", AbslView(kEventColumns),
                   " FROM events WHERE job_id = ? AND sequence > ? ORDER BY sequence");
  using Events = std::vector<Event>;
  return RunFor<Events>(readers_, [&](Connection& c) -> absl::StatusOr<Events> {
    TESSERA_RETURN_IF_ERROR(RequireJob(c, job_id));
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, c.Query(sql, {job_id, after_sequence}));
    return ReadAll<Event>(std::move(cursor), ReadEvent);
  });
}

absl::StatusOr<Event> SqliteStore::FindProposal(int64_t job_id, int64_t trial) {
  // The words of the index, without which it is not used.
  static const std::string sql =
      absl::StrCat("SELECT ", AbslView(kEventColumns),
                   " FROM events WHERE job_id = ? AND trial = ? AND kind = 'proposed' "
                   "ORDER BY sequence LIMIT 1");
  return RunFor<Event>(readers_, [&](Connection& c) -> absl::StatusOr<Event> {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, c.Query(sql, {job_id, trial}));
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (row) return ReadEvent(cursor);
    return absl::NotFoundError(absl::StrCat("job ", job_id, " has not proposed trial ", trial));
  });
}

absl::StatusOr<std::vector<Record>> SqliteStore::QueryRecords(const RecordFilter& filter) {
  return RunFor<std::vector<Record>>(readers_,
                                     [&](Connection& c) { return SelectRecords(c, filter); });
}

absl::StatusOr<std::vector<Record>> SqliteStore::Best(std::string_view task_key,
                                                      std::string_view device_class, int count,
                                                      std::string_view allowed) {
  return RunFor<std::vector<Record>>(readers_, [&](Connection& c) {
    return SelectBest(c, task_key, device_class, count, allowed);
  });
}

absl::StatusOr<std::vector<std::string>> SqliteStore::ListDeviceClasses() {
  return RunFor<std::vector<std::string>>(readers_, SelectDeviceClasses);
}

absl::StatusOr<std::vector<std::string>> SqliteStore::ListRankedDeviceClasses(
    std::string_view task_key) {
  return RunFor<std::vector<std::string>>(
      readers_, [&](Connection& c) { return SelectRankedClasses(c, task_key); });
}

absl::StatusOr<std::vector<Task>> SqliteStore::ListTasks() {
  static const std::string sql =
      absl::StrCat("SELECT name, ", AbslView(kTaskColumns), " FROM tasks ORDER BY id");
  using Tasks = std::vector<Task>;
  return RunFor<Tasks>(readers_, [&](Connection& c) -> absl::StatusOr<Tasks> {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, c.Query(sql));
    return ReadAll<Task>(std::move(cursor), [](const Cursor& row) -> absl::StatusOr<Task> {
      TESSERA_ASSIGN_OR_RETURN(Task task, ReadTask(row, 1));
      task.name = row.Text(0);
      return task;
    });
  });
}

absl::Status SqliteStore::PutDevice(const Device& device) {
  TESSERA_RETURN_IF_ERROR(ValidateDevice(device));
  return writer_.Run([&](Connection& c) { return UpsertDevice(c, device); });
}

absl::StatusOr<std::vector<Device>> SqliteStore::ListDevices() {
  static const std::string sql =
      absl::StrCat("SELECT ", AbslView(kDeviceColumns), " FROM devices ORDER BY id");
  using Devices = std::vector<Device>;
  return RunFor<Devices>(readers_, [&](Connection& c) -> absl::StatusOr<Devices> {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor, c.Query(sql));
    return ReadAll<Device>(std::move(cursor), [](const Cursor& row) {
      return absl::StatusOr<Device>(ReadDevice(row));
    });
  });
}

absl::StatusOr<int64_t> SqliteStore::CreateSelection(const Selection& selection) {
  TESSERA_RETURN_IF_ERROR(ValidateSelection(selection));
  const absl::Time now = clock_.Now();
  return RunFor<int64_t>(writer_,
                         [&](Connection& c) { return InsertSelection(c, selection, now); });
}

absl::StatusOr<Selection> SqliteStore::GetSelection(int64_t id) {
  return RunFor<Selection>(readers_, [&](Connection& c) { return ReadSelection(c, id); });
}

absl::StatusOr<Selection> SqliteStore::FindInPlace(std::string_view key) {
  return RunFor<Selection>(readers_, [&](Connection& c) -> absl::StatusOr<Selection> {
    TESSERA_ASSIGN_OR_RETURN(
        Cursor cursor, c.Query("SELECT max(selection_id) FROM selections_in_place WHERE key = ? "
                               "HAVING count(*) > 0",
                               {key}));
    TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
    if (!row) return NoSuchInPlace(key);
    return ReadSelection(c, cursor.Int(0));
  });
}

absl::Status SqliteStore::PutLibrary(std::string_view key, absl::Span<const LibraryFile> files) {
  return writer_.Run([&](Connection& c) -> absl::Status {
    TESSERA_RETURN_IF_ERROR(c.Execute("DELETE FROM library_files WHERE library = ?", {key}));
    for (size_t i = 0; i < files.size(); ++i) {
      TESSERA_RETURN_IF_ERROR(
          c.Execute("INSERT INTO library_files (library, position, name, digest, size_bytes) "
                    "VALUES (?,?,?,?,?)",
                    {key, static_cast<int64_t>(i), files[i].name, files[i].digest, files[i].size}));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<LibraryFile>> SqliteStore::FindLibrary(std::string_view key) {
  using Files = std::vector<LibraryFile>;
  return RunFor<Files>(readers_, [&](Connection& c) -> absl::StatusOr<Files> {
    TESSERA_ASSIGN_OR_RETURN(Cursor cursor,
                             c.Query("SELECT name, digest, size_bytes FROM library_files WHERE "
                                     "library = ? ORDER BY position",
                                     {key}));
    return ReadAll<LibraryFile>(std::move(cursor),
                                [](const Cursor& row) -> absl::StatusOr<LibraryFile> {
                                  return LibraryFile{row.Text(0), row.Text(1), row.Int(2)};
                                });
  });
}

absl::Status SqliteStore::PutModel(const ModelInfo& model) {
  TESSERA_RETURN_IF_ERROR(ValidateModel(model));
  const absl::Time now = clock_.Now();
  return writer_.Run([&](Connection& c) { return InsertModel(c, model, now); });
}

absl::StatusOr<ModelInfo> SqliteStore::GetModelInfo(std::string_view name) {
  return RunFor<ModelInfo>(readers_, [&](Connection& c) { return SelectModel(c, name); });
}

absl::StatusOr<std::vector<ModelInfo>> SqliteStore::ListModels() {
  return RunFor<std::vector<ModelInfo>>(readers_, SelectModels);
}

absl::StatusOr<int64_t> SqliteStore::AppendComparison(const Comparison& comparison) {
  TESSERA_RETURN_IF_ERROR(ValidateComparison(comparison));
  const absl::Time now = clock_.Now();
  return RunFor<int64_t>(writer_,
                         [&](Connection& c) { return InsertComparison(c, comparison, now); });
}

absl::StatusOr<std::vector<Comparison>> SqliteStore::ListComparisons(
    std::string_view task_key, std::string_view device_class,
    std::optional<ComparisonPurpose> purpose, int limit) {
  return RunFor<std::vector<Comparison>>(readers_, [&](Connection& c) {
    return SelectComparisons(c, task_key, device_class, purpose, limit);
  });
}

absl::StatusOr<std::string> SqliteStore::PutBlob(std::string_view bytes) {
  TESSERA_RETURN_IF_ERROR(ValidateBlob(bytes));
  const int64_t now_us = absl::ToUnixMicros(clock_.Now());
  std::string digest = Sha256Hex(bytes);
  TESSERA_RETURN_IF_ERROR(writer_.Run([&](Connection& c) {
    return c.Execute(
        "INSERT INTO blobs (digest, bytes, created_us) VALUES (?,?,?) ON CONFLICT DO NOTHING",
        {digest, Blob{bytes}, now_us});
  }));
  return digest;
}

absl::StatusOr<std::string> SqliteStore::GetBlob(std::string_view digest) {
  TESSERA_ASSIGN_OR_RETURN(
      std::string bytes,
      RunFor<std::string>(readers_, [&](Connection& c) -> absl::StatusOr<std::string> {
        TESSERA_ASSIGN_OR_RETURN(Cursor cursor,
                                 c.Query("SELECT bytes FROM blobs WHERE digest = ?", {digest}));
        TESSERA_ASSIGN_OR_RETURN(const bool row, cursor.Next());
        if (row) return cursor.Bytes(0);
        return NoSuchBlob(digest);
      }));
  if (Sha256Hex(bytes) != digest) {
    return absl::DataLossError(
        absl::StrCat("blob ", AbslView(digest), " has other bytes than were stored"));
  }
  return bytes;
}

absl::Status SqliteStore::DropBlob(std::string_view digest) {
  return writer_.Run(
      [&](Connection& c) { return c.Execute("DELETE FROM blobs WHERE digest = ?", {digest}); });
}

}  // namespace tessera::db
