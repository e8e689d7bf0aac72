#include "db/sqlite/sqlite_store.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "db/sqlite/migrations.h"
#include "tests/db/record/samples.h"
#include "tests/db/sqlite/raw_sqlite.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {
namespace {

using Catch::Contains;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

absl::Status OpenStatus(const std::string& path, const SqliteOptions& options = {}) {
  return SqliteStore::Open(path, Clock::Real(), options).status();
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_CASE("a database outlives its store", "[db]") {
  TempDir dir;
  ManualClock clock;
  {
    auto store = SqliteStore::Open(dir.File("t.db"), clock).value();
    REQUIRE(store->CreateJob(SampleJob("kept")).ok());
    REQUIRE(store->Append({SampleRecord("t", "a")}, {ProposedEvent(1, 1)}).ok());
  }
  auto store = SqliteStore::Open(dir.File("t.db"), clock).value();
  CHECK(store->GetJob(1)->name == "kept");
  CHECK(store->ReadEvents(1, 0)->size() == 1);
  CHECK(store->Append({SampleRecord("t", "a"), SampleRecord("t", "b")}, {}).value() ==
        std::vector<int64_t>{1, 2});
}

TEST_CASE("the file is in write-ahead mode and marked as Tessera's", "[db]") {
  TempDir dir;
  REQUIRE(OpenStatus(dir.File("t.db")).ok());
  RawSqlite raw(dir.File("t.db"));
  CHECK(raw.Select("PRAGMA journal_mode") == "wal\n");
  CHECK(raw.Select("PRAGMA user_version") == absl::StrCat(SchemaVersion(), "\n"));
  CHECK(raw.Select("PRAGMA application_id") == absl::StrCat(kApplicationId, "\n"));
}

TEST_CASE("other programs read what was acknowledged while the store is open", "[db]") {
  TempDir dir;
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  REQUIRE(store->Append({SampleRecord("t", "a", 0.5)}, {}).ok());
  RawSqlite raw(dir.File("t.db"));
  CHECK(raw.Select("SELECT attempt_key, outcome, cost_seconds FROM records") == "a|ok|0.5\n");
  CHECK(raw.Select("SELECT min(value) FROM records, json_each(sample_seconds)") == "0.5\n");
}

TEST_CASE("a file that is no database is refused and left alone", "[db]") {
  TempDir dir;
  for (size_t size : {20, 600, 5000}) {
    CAPTURE(size);
    const std::string path = dir.File(absl::StrCat(size));
    const std::string text(size, 'x');
    WriteFile(path, text);
    const absl::Status status = OpenStatus(path);
    CHECK(absl::IsDataLoss(status));
    CHECK_THAT(Message(status), Contains(path) && Contains("not a database"));
    CHECK(ReadFile(path) == text);
  }
}

TEST_CASE("a newer schema is refused with both versions and left alone", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  REQUIRE(OpenStatus(path).ok());
  const int newer = SchemaVersion() + 96;
  REQUIRE(RawSqlite(path).Run(absl::StrCat("PRAGMA user_version=", newer)).empty());
  const std::string before = ReadFile(path);
  const absl::Status status = OpenStatus(path);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK_THAT(Message(status), Contains(path) && Contains(absl::StrCat("version ", newer)) &&
                                  Contains(absl::StrCat("up to ", SchemaVersion())) &&
                                  Contains("upgrade Tessera"));
  CHECK(ReadFile(path) == before);
}

TEST_CASE("another application's database is refused and left alone", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  REQUIRE(RawSqlite(path).Run("CREATE TABLE bookmarks (url TEXT)").empty());
  const std::string before = ReadFile(path);
  const absl::Status status = OpenStatus(path);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK_THAT(Message(status), Contains(path) && Contains("another application"));
  CHECK(ReadFile(path) == before);
}

TEST_CASE("a path that can't be used is refused by name", "[db]") {
  TempDir dir;
  const absl::Status no_folder = OpenStatus(dir.File("missing/t.db"));
  CHECK(absl::IsNotFound(no_folder));
  CHECK_THAT(Message(no_folder), Contains("missing/t.db") && Contains("create the folder"));
  CHECK(absl::IsInvalidArgument(OpenStatus("")));
  CHECK(absl::IsInvalidArgument(OpenStatus(":memory:")));
  CHECK(absl::IsInvalidArgument(OpenStatus("file:t.db?mode=ro")));
  std::filesystem::create_directory(dir.File("folder"));
  CHECK_FALSE(OpenStatus(dir.File("folder")).ok());
}

TEST_CASE("a second store on the same file is refused while the first is open", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  auto store = SqliteStore::Open(path, Clock::Real()).value();
  const absl::Status status = OpenStatus(path);
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Message(status),
             Contains(path) && Contains("in use") && Contains(absl::StrCat("process ", getpid())));
  REQUIRE(store->Append({SampleRecord("t", "still works")}, {}).ok());
  store.reset();
  CHECK(OpenStatus(path).ok());
}

TEST_CASE("a database held by another process is free again when that is killed", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto store = SqliteStore::Open(path, Clock::Real());
    const char byte = store.ok() ? 'y' : 'n';
    if (write(ready[1], &byte, 1) == 1) pause();
    _exit(0);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(byte == 'y');
  const absl::Status status = OpenStatus(path);
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Message(status), Contains(absl::StrCat("process ", child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(OpenStatus(path).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("a write waits for another program's transaction and then says who is in the way",
          "[db]") {
  TempDir dir;
  auto store =
      SqliteStore::Open(dir.File("t.db"), Clock::Real(), {.lock_wait = absl::Milliseconds(30)})
          .value();
  RawSqlite shell(dir.File("t.db"));
  REQUIRE(shell.Run("BEGIN IMMEDIATE").empty());
  const absl::Status status = store->Append({SampleRecord("t", "a")}, {}).status();
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(Message(status), Contains("another program") && Contains("30ms"));
  CHECK(store->QueryRecords({})->empty());
  REQUIRE(shell.Run("COMMIT").empty());
  CHECK(store->Append({SampleRecord("t", "a")}, {}).ok());
}

TEST_CASE("a damaged file is reported, not believed", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  {
    auto store = SqliteStore::Open(path, Clock::Real()).value();
    std::vector<Record> records;
    for (int i = 0; i < 500; ++i) records.push_back(SampleRecord("t", absl::StrCat(i)));
    REQUIRE(store->Append(records, {}).ok());
  }
  std::string bytes = ReadFile(path);
  const size_t page = 4096;
  REQUIRE(bytes.size() > 40 * page);
  // The schema stays readable; what the tables point to does not.
  std::fill(bytes.begin() + 30 * page, bytes.end(), '\xee');
  WriteFile(path, bytes);
  auto store = SqliteStore::Open(path, Clock::Real());
  REQUIRE(store.ok());
  const absl::Status status = (*store)->QueryRecords({}).status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(Message(status), Contains(path));
}

TEST_CASE("a stored word that is unknown is data loss that names the row", "[db]") {
  TempDir dir;
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  REQUIRE(store->Append({SampleRecord("t", "a"), SampleRecord("t", "b")}, {}).ok());
  REQUIRE(RawSqlite(dir.File("t.db")).Run("UPDATE records SET outcome='fine' WHERE id=2").empty());
  const absl::Status status = store->QueryRecords({}).status();
  CHECK(absl::IsDataLoss(status));
  CHECK_THAT(Message(status), Contains("records, row 2") && Contains("fine"));
}

TEST_CASE("a blob whose bytes were changed is data loss", "[db]") {
  TempDir dir;
  auto store = SqliteStore::Open(dir.File("t.db"), Clock::Real()).value();
  const std::string digest = store->PutBlob("model").value();
  REQUIRE(RawSqlite(dir.File("t.db")).Run("UPDATE blobs SET bytes=x'00'").empty());
  CHECK(absl::IsDataLoss(store->GetBlob(digest).status()));
}

}  // namespace
}  // namespace tessera::db
