#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "db/sqlite/sqlite_store.h"
#include "tests/db/record/samples.h"
#include "tests/db/sqlite/raw_sqlite.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {
namespace {

using Catch::Contains;

constexpr int64_t kLimitBytes = 512 << 10;

std::set<std::string> StoredAttempts(Store& store) {
  RecordFilter everything;
  everything.limit = 1'000'000;
  std::set<std::string> attempts;
  const std::vector<Record> records = store.QueryRecords(everything).value();
  for (const Record& record : records) attempts.insert(record.attempt_key);
  return attempts;
}

TEST_CASE("a full database refuses writes, keeps what it has and goes on with more room", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  auto store = SqliteStore::Open(path, Clock::Real(), {.max_bytes = kLimitBytes}).value();
  const int64_t job = store->CreateJob(SampleJob("job")).value();
  std::set<std::string> acknowledged;
  int64_t sequence = 0;
  absl::Status status;
  while (status.ok() && sequence < 10'000) {
    std::vector<Record> records;
    for (int i = 0; i < 5; ++i) {
      records.push_back(SampleRecord("t", absl::StrCat(sequence, ".", i)));
    }
    status = store->Append(records, {ResultEvent(job, sequence + 1, records[0])}).status();
    if (!status.ok()) break;
    ++sequence;
    for (const Record& record : records) acknowledged.insert(record.attempt_key);
  }
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()),
             Contains(path) && Contains("nothing was written") &&
                 Contains(absl::StrCat("raise the limit of ", kLimitBytes)));
  REQUIRE(sequence > 5);
  CHECK(StoredAttempts(*store) == acknowledged);
  CHECK(static_cast<int64_t>(store->ReadEvents(job, 0)->size()) == sequence);
  CHECK(absl::IsResourceExhausted(store->PutBlob(std::string(kLimitBytes, 'x')).status()));
  CHECK(store->Best("t", "", 3)->size() == 3);
  // What needs no more room still works.
  CHECK(store->SetJobState(job, JobState::kFailed, "full").ok());

  store.reset();
  CHECK(RawSqlite(path).Select("PRAGMA integrity_check") == "ok\n");
  store = SqliteStore::Open(path, Clock::Real()).value();
  CHECK(StoredAttempts(*store) == acknowledged);
  CHECK(store->Append({}, {ProposedEvent(job, sequence + 1)}).ok());
}

TEST_CASE("a full database refuses only what does not fit, also among concurrent writes", "[db]") {
  TempDir dir;
  auto store =
      SqliteStore::Open(dir.File("t.db"), Clock::Real(), {.max_bytes = kLimitBytes}).value();
  std::mutex mutex;
  std::set<std::string> acknowledged;
  std::set<absl::StatusCode> codes;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 120; ++i) {
        Record record = SampleRecord("t", absl::StrCat(t, ".", i));
        if (t == 0) record.trace = std::string(20'000, 'x');
        const absl::Status status = store->Append({record}, {}).status();
        std::lock_guard<std::mutex> lock(mutex);
        codes.insert(status.code());
        if (status.ok()) acknowledged.insert(record.attempt_key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(codes ==
        std::set<absl::StatusCode>{absl::StatusCode::kOk, absl::StatusCode::kResourceExhausted});
  CHECK(StoredAttempts(*store) == acknowledged);
}

// The operating system refuses to let any file of this process grow, as a full disk does.
[[noreturn]] void FillDisk(const std::string& path) {
  signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{kLimitBytes, kLimitBytes};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(10);
  auto store = SqliteStore::Open(path, Clock::Real());
  if (!store.ok()) _exit(11);
  for (int i = 0; i < 10'000; ++i) {
    const std::string attempt = absl::StrCat(i);
    absl::Status status = (*store)->Append({SampleRecord("t", attempt)}, {}).status();
    if (status.ok()) continue;
    if (!absl::IsResourceExhausted(status)) _exit(12);
    const std::set<std::string> stored = StoredAttempts(**store);
    if (stored.size() != static_cast<size_t>(i) || stored.contains(attempt)) _exit(13);
    if (status.message().find("free disk space") == absl::string_view::npos) _exit(14);
    _exit(i > 10 ? 0 : 15);
  }
  _exit(16);
}

TEST_CASE("a disk without space is named as that and loses nothing", "[db]") {
  TempDir dir;
  const std::string path = dir.File("t.db");
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) FillDisk(path);
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  auto store = SqliteStore::Open(path, Clock::Real());
  REQUIRE(store.ok());
  CHECK(StoredAttempts(**store).size() > 10);
  CHECK((*store)->Append({SampleRecord("t", "with room again")}, {}).ok());
}

}  // namespace
}  // namespace tessera::db
