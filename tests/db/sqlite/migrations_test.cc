#include "db/sqlite/migrations.h"

#include <catch2/catch.hpp>

#include <string>

#include "absl/strings/str_cat.h"
#include "db/sqlite/sqlite_store.h"
#include "tests/db/record/samples.h"
#include "tests/db/sqlite/raw_sqlite.h"
#include "tests/db/sqlite/temp_dir.h"
#include "tests/support/source_file.h"

namespace tessera::db {
namespace {

constexpr char kSchema[] =
    "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";

// Makes the database of an earlier version from its fixture.
void CreateFixture(int version, const std::string& path) {
  const std::string sql =
      ReadSourceFile(absl::StrCat("tests/db/sqlite/fixtures/schema_v", version, ".sql"));
  const std::string error = RawSqlite(path).Run(sql);
  INFO(error);
  REQUIRE(error.empty());
}

TEST_CASE("migrations are numbered without gaps and named", "[db]") {
  int version = 0;
  for (const Migration& migration : Migrations()) {
    CHECK(migration.version == ++version);
    CHECK_FALSE(migration.name.empty());
  }
  CHECK(SchemaVersion() == version);
}

TEST_CASE("a database of schema 1 opens with all that it held", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  CreateFixture(1, path);
  auto opened = SqliteStore::Open(path, Clock::Real());
  INFO(opened.status().ToString());
  REQUIRE(opened.ok());
  Store& store = **opened;

  const Job job = store.GetJob(1).value();
  CHECK(job.name == "resnet18");
  CHECK(job.state == JobState::kRunning);
  CHECK(job.options.seed == 0xffffffffffffffffu);
  CHECK(job.options.idempotency_key == "nightly");
  REQUIRE(job.tasks.size() == 1);
  CHECK(job.tasks[0].cache_mode == CacheMode::kCold);

  const std::vector<Record> records = store.QueryRecords({}).value();
  REQUIRE(records.size() == 4);
  CHECK(records[0].measurement.sample_seconds == std::vector<double>{0.003, 0.0025, 0.004});
  CHECK(records[1].measurement.outcome == Outcome::kTimeout);
  CHECK(store.ReadEvents(1, 0)->size() == 3);
  CHECK(store.ListDevices()->at(0).builds);
}

TEST_CASE("records of schema 1 are ranked and the job goes on", "[db]") {
  TempDir dir;
  CreateFixture(1, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const std::string task_key(64, '5');
  const std::vector<Record> best = store->Best(task_key, "x86/test/2c", 10).value();
  REQUIRE(best.size() == 2);  // the time-out and the stale one are left out
  CHECK(best[0].id == 3);
  CHECK(best[1].id == 1);

  Record faster = SampleRecord(task_key, "1/4/0/1", 1e-4);
  faster.job_id = 1;
  REQUIRE(store->Append({faster}, {ResultEvent(1, 4, faster)}).ok());
  CHECK(store->Best(task_key, "x86/test/2c", 1)->at(0).attempt_key == "1/4/0/1");
  CHECK(store->PutBlob("model").ok());
}

TEST_CASE("jobs from before device classes are of any, and new ones keep theirs", "[db]") {
  const int version = GENERATE(1, 5, 6);
  CAPTURE(version);
  TempDir dir;
  CreateFixture(version, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  Job job = store->GetJob(1).value();
  CHECK(job.name == "resnet18");
  CHECK(job.options.device_class.empty());
  CHECK_FALSE(job.tasks.empty());
  job.options.device_class = "x86/test/2c";
  job.options.idempotency_key = "";
  const int64_t id = store->CreateJob(job).value();
  CHECK(store->GetJob(id)->options == job.options);
}

TEST_CASE("jobs of schema 7 go on as they were begun, and new ones keep what they know", "[db]") {
  TempDir dir;
  CreateFixture(7, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const Job job = store->GetJob(1).value();
  CHECK(job.options.device_class == "x86/test/2c");
  CHECK(job.options.scheduler == "fair");
  CHECK(job.options.prior == "none");
  CHECK(job.options.pins.empty());
  CHECK(job.prior.empty());
  const int64_t id = store->CreateJob(SampleJob("new")).value();
  CHECK(store->GetJob(id)->options == SampleJob("new").options);
  CHECK(store->GetJob(id)->prior == SampleJob("new").prior);
  CHECK(store->ListModels()->empty());
  CHECK(store->ListComparisons("", "", {}, 9)->empty());
}

TEST_CASE("selections of schema 5 keep their device class", "[db]") {
  TempDir dir;
  CreateFixture(5, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const Selection selection = store->GetSelection(1).value();
  CHECK(selection.name == "resnet18");
  REQUIRE(selection.items.size() == 2);
  CHECK(selection.items[0].device_class == "x86/test/2c");
  CHECK(selection.items[0].record_id == 3);
  CHECK(selection.items[0].task.weight == 2.5);
  CHECK(selection.items[1].device_class == "x86/test/2c");
  CHECK(store->GetSelection(2)->items.at(0).device_class.empty());
  CHECK(store->CreateSelection(selection).value() == 3);
}

TEST_CASE("models, comparisons and libraries of schemas 13 and 14 are kept", "[db]") {
  const int version = GENERATE(13, 14);
  CAPTURE(version);
  TempDir dir;
  CreateFixture(version, dir.File("t.db"));
  auto opened = SqliteStore::Open(dir.File("t.db"), Clock::Real());
  INFO(opened.status().ToString());
  REQUIRE(opened.ok());
  Store& store = **opened;

  const Job job = store.GetJob(1).value();
  CHECK(job.options.scheduler == "gradient");
  CHECK(job.options.prior == "x86-1");
  CHECK(job.options.pins == R"({"sketch":"direct"})");
  CHECK(job.options.allow.empty());
  CHECK(job.options.extra_trials == 0);
  CHECK(store.GetBlob(job.prior).value() == R"({"model":"trees"})");

  CHECK(store.QueryRecords({}).value().size() == 4);
  const std::vector<Event> events = store.ReadEvents(1, 0).value();
  REQUIRE(events.size() == 5);
  CHECK(events[3].device == "host/cpu");
  CHECK(events[3].cost_seconds == 0.002);
  CHECK(events[4].kind == EventKind::kTaskDone);
  CHECK(events[4].reason == "all of its programs were tried");
  const std::vector<Device> devices = store.ListDevices().value();
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].pace == Pace{0.875, 3});

  const ModelInfo model = store.GetModelInfo("x86-1").value();
  CHECK(model.digest == job.prior);
  CHECK(model.device_classes == std::vector<std::string>{"x86/test/2c", "arm/test/4c"});
  CHECK(model.records == 12345);
  CHECK(model.top1 == 0.5);
  const std::vector<Comparison> comparisons = store.ListComparisons("", "", {}, 9).value();
  REQUIRE(comparisons.size() == 1);
  CHECK(comparisons[0].purpose == ComparisonPurpose::kCalibration);
  CHECK(comparisons[0].record_ids == std::vector<int64_t>{1, 3});
  CHECK(comparisons[0].sample_seconds ==
        std::vector<std::vector<double>>{{0.0025, 0.003}, {0.002, 0.0021}});

  const Selection selection = store.GetSelection(1).value();
  REQUIRE(selection.model.has_value());
  CHECK(store.GetBlob(selection.model->graph).value() == "graph net\ninput x: f32[2,4]\n");
  REQUIRE(selection.model->constants.size() == 1);
  CHECK(store.GetBlob(selection.model->constants[0]).value().size() == 32);
  CHECK_FALSE(store.GetSelection(2)->model.has_value());
  const std::vector<LibraryFile> files = store.FindLibrary("selection 1").value();
  REQUIRE(files.size() == 1);
  CHECK(files[0].name == "libnet.so");
  CHECK(store.GetBlob(files[0].digest).value().size() == static_cast<size_t>(files[0].size));

  // What the version knew of runs in place, and none did before.
  REQUIRE(selection.items.size() == 2);
  CHECK(selection.items[0].in_place_seconds == (version == 14 ? 0.0175 : 0));
  CHECK(selection.items[1].in_place_seconds == 0);
  REQUIRE(selection.in_place.has_value() == (version == 14));
  if (selection.in_place) {
    CHECK(*selection.in_place == InPlace{"in-place-1", "host/cpu", 0.0186, 0.019, 0.0407});
    CHECK(store.FindInPlace("in-place-1")->id == 1);
  }
}

TEST_CASE("a migrated database has the schema of a new one", "[db]") {
  const int version = GENERATE(1, 5, 6, 7, 13, 14);
  CAPTURE(version);
  TempDir dir;
  CreateFixture(version, dir.File("old.db"));
  REQUIRE(SqliteStore::Open(dir.File("old.db"), Clock::Real()).ok());
  REQUIRE(SqliteStore::Open(dir.File("new.db"), Clock::Real()).ok());
  RawSqlite migrated(dir.File("old.db")), fresh(dir.File("new.db"));
  CHECK(migrated.Select(kSchema) == fresh.Select(kSchema));
  CHECK(migrated.Select("PRAGMA user_version") == fresh.Select("PRAGMA user_version"));
  CHECK(migrated.Select("PRAGMA integrity_check") == "ok\n");
}

TEST_CASE("selections from before devices were in them get those of their records", "[db]") {
  TempDir dir;
  CreateFixture(1, dir.File("t.db"));
  Selection selection;
  selection.name = "net";
  selection.items = {{"a", SampleTask("C2"), "split i 4", 3, 1e-3, "x86/test/2c"},
                     {"b", SampleTask("C3", 2), "", 0, 0}};
  {
    auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
    REQUIRE(store->CreateSelection(selection).value() == 1);
  }
  REQUIRE(RawSqlite(dir.File("t.db"))
              .Run("ALTER TABLE selection_items DROP COLUMN device;"
                   "ALTER TABLE jobs DROP COLUMN selection; PRAGMA user_version = 16")
              .empty());
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const std::vector<SelectionItem> items = store->GetSelection(1)->items;
  REQUIRE(items.size() == 2);
  CHECK(items[0].device == GetRecord(*store, 3)->device);
  CHECK_FALSE(items[0].device.empty());
  CHECK(items[1].device.empty());
  CHECK(store->GetJob(1)->selection == 0);
}

TEST_CASE("a trial's proposal is found through an index, also in a migrated database", "[db]") {
  TempDir dir;
  CreateFixture(1, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const Event proposed = store->ReadEvents(1, 0)->at(0);
  REQUIRE(proposed.kind == EventKind::kProposed);
  CHECK(store->FindProposal(1, proposed.trial).value() == proposed);
  const std::string plan = RawSqlite(dir.File("t.db"))
                               .Select(
                                   "EXPLAIN QUERY PLAN SELECT trace FROM events WHERE job_id = "
                                   "1 AND trial = 7 AND kind = 'proposed' ORDER BY sequence "
                                   "LIMIT 1");
  CHECK_THAT(plan, Catch::Contains("USING INDEX events_proposals (job_id=? AND trial=?)"));
  CHECK_THAT(plan, !Catch::Contains("TEMP B-TREE"));
}

TEST_CASE("device classes are found through an index, also in a migrated database", "[db]") {
  TempDir dir;
  CreateFixture(1, dir.File("t.db"));
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  CHECK(store->ListDeviceClasses().value() == std::vector<std::string>{"x86/test/2c"});
  RawSqlite raw(dir.File("t.db"));
  CHECK_THAT(raw.Select("EXPLAIN QUERY PLAN SELECT min(device_class) FROM records WHERE "
                        "device_class > 'a'"),
             Catch::Contains("SEARCH records USING COVERING INDEX records_device_class"));
  // Where a task is named, too, its index is the narrower one.
  CHECK_THAT(raw.Select("EXPLAIN QUERY PLAN SELECT trace FROM records WHERE id > 0 AND task_key = "
                        "'t' AND +device_class = 'a' ORDER BY id LIMIT 9"),
             Catch::Contains("records_task"));
}

TEST_CASE("a migration that fails names its step and leaves the database as it was", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  CreateFixture(1, path);
  // In the way of the last step, after the one before it has already changed the file.
  REQUIRE(RawSqlite(path).Run("CREATE TABLE selections (mine TEXT)").empty());
  const std::string before = RawSqlite(path).Select(kSchema);
  const absl::Status status = SqliteStore::Open(path, Clock::Real()).status();
  CHECK_FALSE(status.ok());
  CHECK_THAT(std::string(status.message()), Catch::Contains("migration 3 (selections and blobs)"));
  RawSqlite raw(path);
  CHECK(raw.Select(kSchema) == before);
  CHECK(raw.Select("PRAGMA user_version") == "1\n");
}

TEST_CASE("a database that is up to date is opened without a write", "[db]") {
  TempDir dir;
  REQUIRE(SqliteStore::Open(dir.File("t.db"), Clock::Real()).ok());
  RawSqlite raw(dir.File("t.db"));
  const std::string before = raw.Select("PRAGMA data_version");
  REQUIRE(SqliteStore::Open(dir.File("t.db"), Clock::Real()).ok());
  CHECK(raw.Select("PRAGMA data_version") == before);
}

}  // namespace
}  // namespace tessera::db
