#include "db/sqlite/rows.h"

#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "db/sqlite/json_numbers.h"

namespace tessera::db {
namespace {

int64_t Micros(absl::Time time) { return absl::ToUnixMicros(time); }

// Adds the row to the error of a stored word that could not be read.
template <typename T>
absl::StatusOr<T> Stored(absl::StatusOr<T> parsed, const char* table, int64_t id) {
  if (parsed.ok()) return parsed;
  return absl::DataLossError(
      absl::StrCat("table ", table, ", row ", id, ": ", parsed.status().message()));
}

}  // namespace

absl::Time FromMicros(int64_t microseconds) { return absl::FromUnixMicros(microseconds); }

const std::string_view kRecordColumns =
    "id, task_key, job_id, trial, attempt_key, trace, config, loop_hash, artifact, device, "
    "device_class, explorer, seed, outcome, reason, sample_seconds, sample_calls, build_seconds, "
    "run_seconds, cpu_mhz, load_average, temperature_celsius, reference_gflops, "
    "peak_memory_bytes, runtime_version, stale, tessera_version, created_us";

absl::StatusOr<Record> ReadRecord(const Cursor& row) {
  Record r;
  int c = 0;
  r.id = row.Int(c++);
  r.task_key = row.Text(c++);
  r.job_id = row.Int(c++);
  r.trial = row.Int(c++);
  r.attempt_key = row.Text(c++);
  r.trace = row.Text(c++);
  r.config = row.Text(c++);
  r.loop_hash = row.Text(c++);
  r.artifact = row.Text(c++);
  r.device = row.Text(c++);
  r.device_class = row.Text(c++);
  r.explorer = row.Text(c++);
  r.seed = std::bit_cast<uint64_t>(row.Int(c++));
  Measurement& m = r.measurement;
  TESSERA_ASSIGN_OR_RETURN(m.outcome, Stored(ParseOutcome(row.Text(c++)), "records", r.id));
  m.reason = row.Text(c++);
  TESSERA_ASSIGN_OR_RETURN(m.sample_seconds,
                           Stored(DoublesFromJson(row.Text(c++)), "records", r.id));
  TESSERA_ASSIGN_OR_RETURN(m.sample_calls,
                           Stored(IntegersFromJson(row.Text(c++)), "records", r.id));
  m.build_seconds = row.Real(c++);
  m.run_seconds = row.Real(c++);
  Environment& e = m.environment;
  e.cpu_mhz = row.Real(c++);
  e.load_average = row.Real(c++);
  e.temperature_celsius = row.Real(c++);
  e.reference_gflops = row.Real(c++);
  e.peak_memory_bytes = row.Int(c++);
  e.runtime_version = row.Text(c++);
  r.stale = row.Int(c++) != 0;
  r.tessera_version = row.Text(c++);
  r.created = FromMicros(row.Int(c++));
  return r;
}

absl::Status InsertRecord(Connection& connection, int64_t id, const Record& r) {
  // 28 columns of kRecordColumns and the ranking cost.
  static const std::string sql =
      absl::StrCat("INSERT INTO records (", AbslView(kRecordColumns),
                   ", cost_seconds) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                   "?,?)");
  const Measurement& m = r.measurement;
  const Environment& e = m.environment;
  const double cost_seconds = m.CostSeconds();
  const std::string sample_seconds = NumbersToJson(m.sample_seconds);
  const std::string sample_calls = NumbersToJson(m.sample_calls);
  return connection.Execute(sql, {id,
                                  r.task_key,
                                  r.job_id,
                                  r.trial,
                                  r.attempt_key,
                                  r.trace,
                                  r.config,
                                  r.loop_hash,
                                  r.artifact,
                                  r.device,
                                  r.device_class,
                                  r.explorer,
                                  std::bit_cast<int64_t>(r.seed),
                                  ToString(m.outcome),
                                  m.reason,
                                  sample_seconds,
                                  sample_calls,
                                  m.build_seconds,
                                  m.run_seconds,
                                  e.cpu_mhz,
                                  e.load_average,
                                  e.temperature_celsius,
                                  e.reference_gflops,
                                  e.peak_memory_bytes,
                                  e.runtime_version,
                                  int64_t{r.stale},
                                  r.tessera_version,
                                  Micros(r.created),
                                  std::isinf(cost_seconds) ? SqlValue() : SqlValue(cost_seconds)});
}

const std::string_view kEventColumns =
    "job_id, sequence, kind, trial, task_index, config, trace, loop_hash, explorer, record_id, "
    "outcome, cost_seconds, model, through_sequence, reason, device, pace";

absl::StatusOr<Event> ReadEvent(const Cursor& row) {
  Event e;
  int c = 0;
  e.job_id = row.Int(c++);
  e.sequence = row.Int(c++);
  TESSERA_ASSIGN_OR_RETURN(e.kind, Stored(ParseEventKind(row.Text(c++)), "events", e.sequence));
  e.trial = row.Int(c++);
  e.task_index = static_cast<int>(row.Int(c++));
  e.config = row.Text(c++);
  e.trace = row.Text(c++);
  e.loop_hash = row.Text(c++);
  e.explorer = row.Text(c++);
  e.record_id = row.Int(c++);
  TESSERA_ASSIGN_OR_RETURN(e.outcome, Stored(ParseOutcome(row.Text(c++)), "events", e.sequence));
  e.cost_seconds = row.Real(c++);
  e.model = row.Text(c++);
  e.through_sequence = row.Int(c++);
  e.reason = row.Text(c++);
  e.device = row.Text(c++);
  e.pace = row.Real(c++);
  return e;
}

absl::Status InsertEvent(Connection& connection, const Event& e, int64_t record_id) {
  static const std::string sql = absl::StrCat("INSERT INTO events (", AbslView(kEventColumns),
                                              ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  return connection.Execute(
      sql, {e.job_id, e.sequence, ToString(e.kind), e.trial, int64_t{e.task_index}, e.config,
            e.trace, e.loop_hash, e.explorer, record_id, ToString(e.outcome), e.cost_seconds,
            e.model, e.through_sequence, e.reason, e.device, e.pace});
}

const std::string_view kJobColumns =
    "id, name, state, message, trials_per_task, threads, seed, explorer, cost_model, max_seconds, "
    "idempotency_key, device_class, scheduler, prior_option, pins, allow, extra_trials, prior, "
    "selection, created_us, updated_us";

absl::StatusOr<Job> ReadJob(const Cursor& row) {
  Job j;
  int c = 0;
  j.id = row.Int(c++);
  j.name = row.Text(c++);
  TESSERA_ASSIGN_OR_RETURN(j.state, Stored(ParseJobState(row.Text(c++)), "jobs", j.id));
  j.message = row.Text(c++);
  j.options.trials_per_task = static_cast<int>(row.Int(c++));
  j.options.threads = static_cast<int>(row.Int(c++));
  j.options.seed = std::bit_cast<uint64_t>(row.Int(c++));
  j.options.explorer = row.Text(c++);
  j.options.cost_model = row.Text(c++);
  j.options.max_seconds = row.Real(c++);
  j.options.idempotency_key = row.Text(c++);
  j.options.device_class = row.Text(c++);
  j.options.scheduler = row.Text(c++);
  j.options.prior = row.Text(c++);
  j.options.pins = row.Text(c++);
  j.options.allow = row.Text(c++);
  j.options.extra_trials = static_cast<int>(row.Int(c++));
  j.prior = row.Text(c++);
  j.selection = row.Int(c++);
  j.created = FromMicros(row.Int(c++));
  j.updated = FromMicros(row.Int(c++));
  return j;
}

absl::StatusOr<int64_t> InsertJob(Connection& connection, const Job& j, absl::Time now) {
  const JobOptions& o = j.options;
  TESSERA_RETURN_IF_ERROR(connection.Execute(
      "INSERT INTO jobs (name, state, message, trials_per_task, threads, seed, explorer, "
      "cost_model, max_seconds, idempotency_key, device_class, scheduler, prior_option, pins, "
      "allow, extra_trials, prior, selection, created_us, updated_us) VALUES "
      "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {j.name,
       ToString(j.state),
       j.message,
       int64_t{o.trials_per_task},
       int64_t{o.threads},
       std::bit_cast<int64_t>(o.seed),
       o.explorer,
       o.cost_model,
       o.max_seconds,
       o.idempotency_key.empty() ? SqlValue() : SqlValue(o.idempotency_key),
       o.device_class,
       o.scheduler,
       o.prior,
       o.pins,
       o.allow,
       int64_t{o.extra_trials},
       j.prior,
       j.selection,
       Micros(now),
       Micros(now)}));
  return connection.last_insert_id();
}

const std::string_view kTaskColumns =
    "tasks.workload_hash, tasks.workload, tasks.target, tasks.threads, tasks.cache_mode";

absl::StatusOr<Task> ReadTask(const Cursor& row, int first) {
  Task t;
  int c = first;
  t.workload_hash = row.Text(c++);
  t.workload = row.Text(c++);
  t.target = row.Text(c++);
  t.threads = static_cast<int>(row.Int(c++));
  absl::StatusOr<CacheMode> mode = ParseCacheMode(row.Text(c++));
  if (!mode.ok())
    return absl::DataLossError(absl::StrCat("table tasks: ", mode.status().message()));
  t.cache_mode = *mode;
  return t;
}

absl::StatusOr<int64_t> InternTask(Connection& connection, const Task& task) {
  const std::string key = task.Key();
  {
    TESSERA_ASSIGN_OR_RETURN(Cursor row,
                             connection.Query("SELECT id FROM tasks WHERE key = ?", {key}));
    TESSERA_ASSIGN_OR_RETURN(const bool known, row.Next());
    if (known) return row.Int(0);
  }
  TESSERA_RETURN_IF_ERROR(connection.Execute(
      "INSERT INTO tasks (key, name, workload_hash, workload, target, threads, cache_mode) "
      "VALUES (?,?,?,?,?,?,?)",
      {key, task.name, task.workload_hash, task.workload, task.target, int64_t{task.threads},
       ToString(task.cache_mode)}));
  return connection.last_insert_id();
}

const std::string_view kDeviceColumns =
    "id, worker, device_class, device_class_description, target, runs, builds, cores, "
    "tessera_version, state, state_reason, peak_gflops_per_core, pace, pace_programs, last_seen_us";

Device ReadDevice(const Cursor& row) {
  Device d;
  int c = 0;
  d.id = row.Text(c++);
  d.worker = row.Text(c++);
  d.device_class.name = row.Text(c++);
  d.device_class.description = row.Text(c++);
  d.target = row.Text(c++);
  d.runs = row.Int(c++) != 0;
  d.builds = row.Int(c++) != 0;
  d.cores = static_cast<int>(row.Int(c++));
  d.tessera_version = row.Text(c++);
  d.state = row.Text(c++);
  d.state_reason = row.Text(c++);
  d.peak_gflops_per_core = row.Real(c++);
  d.pace.ratio = row.Real(c++);
  d.pace.programs = static_cast<int>(row.Int(c++));
  d.last_seen = FromMicros(row.Int(c++));
  return d;
}

absl::Status UpsertDevice(Connection& connection, const Device& d) {
  static const std::string sql =
      absl::StrCat("INSERT OR REPLACE INTO devices (", AbslView(kDeviceColumns),
                   ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  return connection.Execute(
      sql,
      {d.id, d.worker, d.device_class.name, d.device_class.description, d.target, int64_t{d.runs},
       int64_t{d.builds}, int64_t{d.cores}, d.tessera_version, d.state, d.state_reason,
       d.peak_gflops_per_core, d.pace.ratio, int64_t{d.pace.programs}, Micros(d.last_seen)});
}

}  // namespace tessera::db
