#include "db/sqlite/migrations.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tessera::db {
namespace {

// Times are microseconds since the epoch, UTC. Outcomes, states and kinds are the words of
// db/record/record.h. `seed` is an unsigned number stored as two's complement.

constexpr std::string_view kLog = R"sql(
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  workload_hash TEXT NOT NULL,
  workload TEXT NOT NULL,
  target TEXT NOT NULL,
  threads INTEGER NOT NULL,
  cache_mode TEXT NOT NULL
) STRICT;
CREATE INDEX tasks_workload ON tasks (workload_hash);

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  message TEXT NOT NULL,
  trials_per_task INTEGER NOT NULL,
  threads INTEGER NOT NULL,
  seed INTEGER NOT NULL,
  explorer TEXT NOT NULL,
  cost_model TEXT NOT NULL,
  max_seconds REAL NOT NULL,
  idempotency_key TEXT UNIQUE,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
) STRICT;

CREATE TABLE job_tasks (
  job_id INTEGER NOT NULL REFERENCES jobs (id),
  position INTEGER NOT NULL,
  task_id INTEGER NOT NULL REFERENCES tasks (id),
  name TEXT NOT NULL,
  weight REAL NOT NULL,
  PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
  id INTEGER PRIMARY KEY,
  task_key TEXT NOT NULL,
  job_id INTEGER NOT NULL,
  trial INTEGER NOT NULL,
  attempt_key TEXT NOT NULL UNIQUE,
  trace TEXT NOT NULL,
  config TEXT NOT NULL,
  loop_hash TEXT NOT NULL,
  artifact TEXT NOT NULL,
  device TEXT NOT NULL,
  device_class TEXT NOT NULL,
  explorer TEXT NOT NULL,
  seed INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  sample_seconds TEXT NOT NULL,
  sample_calls TEXT NOT NULL,
  build_seconds REAL NOT NULL,
  run_seconds REAL NOT NULL,
  cpu_mhz REAL NOT NULL,
  load_average REAL NOT NULL,
  temperature_celsius REAL NOT NULL,
  reference_gflops REAL NOT NULL,
  peak_memory_bytes INTEGER NOT NULL,
  runtime_version TEXT NOT NULL,
  stale INTEGER NOT NULL,
  tessera_version TEXT NOT NULL,
  created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX records_task ON records (task_key);
CREATE INDEX records_job ON records (job_id);

CREATE TABLE events (
  job_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  kind TEXT NOT NULL,
  trial INTEGER NOT NULL,
  task_index INTEGER NOT NULL,
  config TEXT NOT NULL,
  trace TEXT NOT NULL,
  loop_hash TEXT NOT NULL,
  explorer TEXT NOT NULL,
  record_id INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  cost_seconds REAL NOT NULL,
  model TEXT NOT NULL,
  through_sequence INTEGER NOT NULL,
  PRIMARY KEY (job_id, sequence)
) STRICT;

CREATE TABLE devices (
  id TEXT PRIMARY KEY,
  worker TEXT NOT NULL,
  device_class TEXT NOT NULL,
  device_class_description TEXT NOT NULL,
  target TEXT NOT NULL,
  runs INTEGER NOT NULL,
  builds INTEGER NOT NULL,
  cores INTEGER NOT NULL,
  tessera_version TEXT NOT NULL,
  state TEXT NOT NULL,
  state_reason TEXT NOT NULL,
  peak_gflops_per_core REAL NOT NULL,
  last_seen_us INTEGER NOT NULL
) STRICT;
)sql";

// cost_seconds is NULL where a record can't be ranked. The index holds what Best asks for, in the
// order in which it reads.
constexpr std::string_view kRanking = R"sql(
ALTER TABLE records ADD COLUMN cost_seconds REAL;
UPDATE records SET cost_seconds = (SELECT min(value) FROM json_each(sample_seconds))
  WHERE outcome = 'ok';
CREATE INDEX records_ranking ON records (task_key, device_class, cost_seconds)
  WHERE outcome = 'ok' AND stale = 0;
)sql";

constexpr std::string_view kSelectionsAndBlobs = R"sql(
CREATE TABLE selections (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  device_class TEXT NOT NULL,
  created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE selection_items (
  selection_id INTEGER NOT NULL REFERENCES selections (id),
  position INTEGER NOT NULL,
  op TEXT NOT NULL,
  task_id INTEGER NOT NULL REFERENCES tasks (id),
  task_name TEXT NOT NULL,
  task_weight REAL NOT NULL,
  trace TEXT NOT NULL,
  record_id INTEGER NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (selection_id, position)
) STRICT;

CREATE TABLE blobs (
  digest TEXT PRIMARY KEY,
  bytes BLOB NOT NULL,
  created_us INTEGER NOT NULL
) STRICT;
)sql";

// Late results ask for their trial's proposal.
constexpr std::string_view kProposals = R"sql(
CREATE INDEX events_proposals ON events (job_id, trial, sequence) WHERE kind = 'proposed';
)sql";

// The log knows its device classes, which the devices of today may not have.
constexpr std::string_view kDeviceClasses = R"sql(
CREATE INDEX records_device_class ON records (device_class);
)sql";

// A library of several versions has records of several classes.
constexpr std::string_view kVersions = R"sql(
ALTER TABLE selection_items ADD COLUMN device_class TEXT NOT NULL DEFAULT '';
UPDATE selection_items SET device_class =
  (SELECT device_class FROM selections WHERE selections.id = selection_items.selection_id);
ALTER TABLE selections DROP COLUMN device_class;
)sql";

// Jobs from before have no class: they go on with any device of their target.
constexpr std::string_view kClassesOfJobs = R"sql(
ALTER TABLE jobs ADD COLUMN device_class TEXT NOT NULL DEFAULT '';
)sql";

// Jobs from before go on as they were begun. The option is what was asked for, prior what that
// meant when the job was made.
constexpr std::string_view kWhatJobsKnow = R"sql(
ALTER TABLE jobs ADD COLUMN scheduler TEXT NOT NULL DEFAULT 'fair';
ALTER TABLE jobs ADD COLUMN prior_option TEXT NOT NULL DEFAULT 'none';
ALTER TABLE jobs ADD COLUMN pins TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN prior TEXT NOT NULL DEFAULT '';
)sql";

constexpr std::string_view kModels = R"sql(
CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  cost_model TEXT NOT NULL,
  feature_version INTEGER NOT NULL,
  tasks INTEGER NOT NULL,
  records INTEGER NOT NULL,
  origin TEXT NOT NULL,
  pairwise_accuracy REAL NOT NULL,
  top1 REAL NOT NULL,
  top5 REAL NOT NULL,
  created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE model_classes (
  model_id INTEGER NOT NULL REFERENCES models (id),
  position INTEGER NOT NULL,
  device_class TEXT NOT NULL,
  PRIMARY KEY (model_id, position)
) STRICT, WITHOUT ROWID;
)sql";

// One row a program, in the order of the comparison; a program that is compared with itself has
// two.
constexpr std::string_view kComparisons = R"sql(
CREATE TABLE comparisons (
  id INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL,
  task_key TEXT NOT NULL,
  device TEXT NOT NULL,
  device_class TEXT NOT NULL,
  purpose TEXT NOT NULL,
  promoted INTEGER NOT NULL,
  ratio_low REAL NOT NULL,
  ratio REAL NOT NULL,
  ratio_high REAL NOT NULL,
  tessera_version TEXT NOT NULL,
  created_us INTEGER NOT NULL
) STRICT;
CREATE INDEX comparisons_task ON comparisons (task_key);

CREATE TABLE comparison_programs (
  comparison_id INTEGER NOT NULL REFERENCES comparisons (id),
  position INTEGER NOT NULL,
  record_id INTEGER NOT NULL,
  sample_seconds TEXT NOT NULL,
  PRIMARY KEY (comparison_id, position)
) STRICT;
)sql";

constexpr std::string_view kEndsOfTasks = R"sql(
ALTER TABLE events ADD COLUMN reason TEXT NOT NULL DEFAULT '';
)sql";

// Devices of one class are not equally fast: what measured a result, and what is known of devices.
constexpr std::string_view kPaces = R"sql(
ALTER TABLE events ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN pace REAL NOT NULL DEFAULT 1;
ALTER TABLE devices ADD COLUMN pace REAL NOT NULL DEFAULT 1;
ALTER TABLE devices ADD COLUMN pace_programs INTEGER NOT NULL DEFAULT 0;
CREATE INDEX comparisons_calibrations ON comparisons (device_class, id)
  WHERE purpose = 'calibration';
)sql";

// Libraries of models are built from graphs, and of libraries it is known what they were built to.
constexpr std::string_view kGraphs = R"sql(
ALTER TABLE selections ADD COLUMN graph TEXT NOT NULL DEFAULT '';
CREATE TABLE selection_constants (
  selection_id INTEGER NOT NULL REFERENCES selections (id),
  position INTEGER NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (selection_id, position)
) STRICT;
CREATE TABLE library_files (
  library TEXT NOT NULL,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (library, position)
) STRICT;
)sql";

// What a model's run took as a whole, with which choices of its kernels.
constexpr std::string_view kInPlace = R"sql(
ALTER TABLE selection_items ADD COLUMN in_place_seconds REAL NOT NULL DEFAULT 0;
CREATE TABLE selections_in_place (
  selection_id INTEGER PRIMARY KEY REFERENCES selections (id),
  key TEXT NOT NULL,
  device TEXT NOT NULL,
  seconds REAL NOT NULL,
  alone_seconds REAL NOT NULL,
  default_seconds REAL NOT NULL
) STRICT;
CREATE INDEX selections_in_place_key ON selections_in_place (key);
)sql";

// What programs of jobs may call.
constexpr std::string_view kLibrariesOfOthers = R"sql(
ALTER TABLE jobs ADD COLUMN allow TEXT NOT NULL DEFAULT '';
)sql";

constexpr std::string_view kExtraTrials = R"sql(
ALTER TABLE jobs ADD COLUMN extra_trials INTEGER NOT NULL DEFAULT 0;
)sql";

// What a job's tasks are the kernels of, and where what a library is built from was measured.
constexpr std::string_view kModelsOfJobs = R"sql(
ALTER TABLE jobs ADD COLUMN selection INTEGER NOT NULL DEFAULT 0;
ALTER TABLE selection_items ADD COLUMN device TEXT NOT NULL DEFAULT '';
UPDATE selection_items SET device =
  coalesce((SELECT device FROM records WHERE records.id = selection_items.record_id), '');
)sql";

constexpr Migration kMigrations[] = {
    {1, "log", kLog},
    {2, "ranking", kRanking},
    {3, "selections and blobs", kSelectionsAndBlobs},
    {4, "proposals", kProposals},
    {5, "device classes", kDeviceClasses},
    {6, "versions of selections", kVersions},
    {7, "device classes of jobs", kClassesOfJobs},
    {8, "what jobs know", kWhatJobsKnow},
    {9, "models", kModels},
    {10, "comparisons", kComparisons},
    {11, "why tasks end", kEndsOfTasks},
    {12, "paces", kPaces},
    {13, "graphs and libraries", kGraphs},
    {14, "models in place", kInPlace},
    {15, "libraries of others", kLibrariesOfOthers},
    {16, "extra trials", kExtraTrials},
    {17, "models of jobs", kModelsOfJobs},
};

}  // namespace

absl::Span<const Migration> Migrations() { return kMigrations; }
int SchemaVersion() { return Migrations().back().version; }

absl::StatusOr<int64_t> CheckSchema(Connection& connection) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t version, connection.QueryInt("PRAGMA user_version"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t application, connection.QueryInt("PRAGMA application_id"));
  TESSERA_ASSIGN_OR_RETURN(const int64_t tables,
                           connection.QueryInt("SELECT count(*) FROM sqlite_schema"));
  if (application != kApplicationId && (application != 0 || version != 0 || tables != 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", connection.path(), " belongs to another application (id ",
                     application, ", Tessera's is ", kApplicationId, "); give another path"));
  }
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", connection.path(), " has schema version ", version,
                     ", this build knows versions up to ", SchemaVersion(),
                     "; upgrade Tessera, or give the path of another database"));
  }
  return version;
}

absl::Status Migrate(Connection& connection) {
  TESSERA_ASSIGN_OR_RETURN(const int64_t version, CheckSchema(connection));
  if (version == SchemaVersion()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(connection.ExecuteScript("BEGIN IMMEDIATE"));
  absl::Status status =
      connection.ExecuteScript(absl::StrCat("PRAGMA application_id=", kApplicationId));
  for (const Migration& migration : Migrations()) {
    if (migration.version <= version) continue;
    if (status.ok()) status = connection.ExecuteScript(migration.sql);
    if (status.ok()) {
      status = connection.ExecuteScript(absl::StrCat("PRAGMA user_version=", migration.version));
    }
    if (!status.ok()) {
      status = Annotate(status, absl::StrCat("migration ", migration.version, " (",
                                             std::string(migration.name), ")"));
      break;
    }
  }
  if (status.ok()) status = connection.ExecuteScript("COMMIT");
  if (!status.ok() && connection.in_transaction()) {
    connection.ExecuteScript("ROLLBACK").IgnoreError();
  }
  return status;
}

}  // namespace tessera::db
