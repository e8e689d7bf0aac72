#include "db/sqlite/writer.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/db/sqlite/raw_sqlite.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {
namespace {

constexpr absl::Duration kLockWait = absl::Milliseconds(200);

// A writer on a table of numbers, and writes that are sure to be in one group: they are handed in
// while the writer's thread is held up.
class Fixture {
 public:
  Fixture() {
    auto connection = Connection::Open(path(), Connection::Mode::kReadWriteCreate, kLockWait);
    REQUIRE(connection.ok());
    REQUIRE((*connection)
                ->ExecuteScript("PRAGMA journal_mode=WAL; CREATE TABLE numbers (n INTEGER UNIQUE)")
                .ok());
    writer_ = std::make_unique<Writer>(*std::move(connection));
  }

  std::string path() const { return dir_.File("t.db"); }
  Writer& writer() { return *writer_; }
  std::string Numbers() { return RawSqlite(path()).Select("SELECT n FROM numbers ORDER BY n"); }

  using Write = std::function<absl::Status(Connection&)>;
  std::vector<absl::Status> RunAsGroup(const std::vector<Write>& writes, const Write& hold) {
    std::vector<absl::Status> statuses(writes.size());
    absl::Notification holding, release;
    std::thread holder([&] {
      (void)writer_->Run([&](Connection& connection) {
        holding.Notify();
        release.WaitForNotification();
        return hold(connection);
      });
    });
    holding.WaitForNotification();
    std::vector<std::thread> callers;
    for (size_t i = 0; i < writes.size(); ++i) {
      callers.emplace_back([&, i] { statuses[i] = writer_->Run(writes[i]); });
    }
    while (writer_->waiting() < writes.size()) absl::SleepFor(absl::Milliseconds(1));
    release.Notify();
    holder.join();
    for (std::thread& caller : callers) caller.join();
    return statuses;
  }
  std::vector<absl::Status> RunAsGroup(const std::vector<Write>& writes) {
    return RunAsGroup(writes, [](Connection&) { return absl::OkStatus(); });
  }

 private:
  TempDir dir_;
  std::unique_ptr<Writer> writer_;
};

Fixture::Write Insert(int n) {
  return [n](Connection& c) { return c.Execute("INSERT INTO numbers VALUES (?)", {int64_t{n}}); };
}

TEST_CASE("a write is on disk when it returns", "[db]") {
  Fixture f;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(f.writer().Run(Insert(i)).ok());
    CHECK(RawSqlite(f.path()).Select("SELECT count(*) FROM numbers") == absl::StrCat(i + 1, "\n"));
  }
}

TEST_CASE("a failed write leaves nothing and returns its error", "[db]") {
  Fixture f;
  const absl::Status status = f.writer().Run([](Connection& c) -> absl::Status {
    (void)c.Execute("INSERT INTO numbers VALUES (1)");
    return absl::FailedPreconditionError("changed my mind");
  });
  CHECK(status == absl::FailedPreconditionError("changed my mind"));
  CHECK(f.Numbers().empty());
  CHECK(f.writer().Run(Insert(1)).ok());
}

TEST_CASE("waiting writes share one transaction", "[db]") {
  Fixture f;
  std::atomic<int> unseen = 0;
  std::vector<Fixture::Write> writes;
  for (int i = 0; i < 5; ++i) {
    writes.push_back([&, i](Connection& c) {
      // What a reader sees is short of what the transaction already holds.
      const int64_t inside = c.QueryInt("SELECT count(*) FROM numbers").value();
      if (f.Numbers().empty() && inside > 0) ++unseen;
      return Insert(i)(c);
    });
  }
  for (const absl::Status& status : f.RunAsGroup(writes)) CHECK(status.ok());
  CHECK(f.Numbers() == "0\n1\n2\n3\n4\n");
  CHECK(unseen == 4);
}

TEST_CASE("a failing write does not take its group along", "[db]") {
  Fixture f;
  const auto statuses = f.RunAsGroup({Insert(1), Insert(2),
                                      [](Connection& c) -> absl::Status {
                                        (void)c.Execute("INSERT INTO numbers VALUES (9)");
                                        return absl::NotFoundError("none");
                                      },
                                      Insert(3)});
  CHECK(statuses[0].ok());
  CHECK(statuses[1].ok());
  CHECK(absl::IsNotFound(statuses[2]));
  CHECK(statuses[3].ok());
  CHECK(f.Numbers() == "1\n2\n3\n");
}

TEST_CASE("a group whose transaction SQLite undid is written one by one", "[db]") {
  Fixture f;
  // What SQLite does by itself after a full disk or an I/O error.
  const auto undo = [](Connection& c) -> absl::Status {
    (void)c.ExecuteScript("ROLLBACK");
    return absl::ResourceExhaustedError("full");
  };
  const auto statuses = f.RunAsGroup({Insert(1), undo, Insert(2), Insert(3)});
  CHECK(statuses[0].ok());
  CHECK(absl::IsResourceExhausted(statuses[1]));
  CHECK(statuses[2].ok());
  CHECK(statuses[3].ok());
  CHECK(f.Numbers() == "1\n2\n3\n");
}

TEST_CASE("a group that can't begin fails as one, after one wait", "[db]") {
  Fixture f;
  RawSqlite shell(f.path());
  // Another program takes the file between the holder's transaction and the group's.
  const auto intrude = [&](Connection& c) {
    (void)c.ExecuteScript("ROLLBACK");
    return shell.Run("BEGIN IMMEDIATE").empty() ? absl::CancelledError("")
                                                : absl::InternalError("could not intrude");
  };
  std::vector<Fixture::Write> writes;
  constexpr int kWrites = 100;
  for (int i = 0; i < kWrites; ++i) writes.push_back(Insert(i));
  const absl::Time start = absl::Now();
  const auto statuses = f.RunAsGroup(writes, intrude);
  CHECK(absl::Now() - start < kWrites / 2 * kLockWait);
  for (const absl::Status& status : statuses) CHECK(absl::IsUnavailable(status));
  REQUIRE(shell.Run("COMMIT").empty());
  CHECK(f.Numbers().empty());
  CHECK(f.writer().Run(Insert(1)).ok());
}

}  // namespace
}  // namespace tessera::db
