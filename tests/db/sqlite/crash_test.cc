#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/rng.h"
#include "db/sqlite/sqlite_store.h"
#include "tests/db/record/samples.h"
#include "tests/db/sqlite/temp_dir.h"

namespace tessera::db {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 20;

// What the child has been told is stored. Smaller than PIPE_BUF: written whole or not at all.
struct Acknowledged {
  int64_t job_id, record_id, sequence;
};

std::string AttemptKey(int64_t job_id, int64_t sequence) {
  return absl::StrCat(job_id, "/", sequence, "/0/1");
}

// Continues the log of `job_id` until it is killed.
void AppendForEver(Store& store, int64_t job_id, int acknowledgements) {
  absl::StatusOr<std::vector<Event>> log = store.ReadEvents(job_id, 0);
  if (!log.ok()) _exit(2);
  for (int64_t sequence = static_cast<int64_t>(log->size()) + 1;; sequence += 2) {
    Record record = SampleRecord("task", AttemptKey(job_id, sequence), 1e-3 * sequence);
    record.job_id = job_id;
    absl::StatusOr<std::vector<int64_t>> ids = store.Append(
        {record}, {ResultEvent(job_id, sequence, record), ProposedEvent(job_id, sequence + 1)});
    if (!ids.ok()) _exit(3);
    const Acknowledged done{job_id, ids->at(0), sequence};
    if (write(acknowledgements, &done, sizeof(done)) != sizeof(done)) _exit(4);
  }
}

[[noreturn]] void RunChild(const std::string& path, int acknowledgements) {
  auto store = SqliteStore::Open(path, Clock::Real());
  if (!store.ok()) _exit(1);
  std::vector<std::thread> threads;
  for (int64_t job_id = 1; job_id <= kThreads; ++job_id) {
    threads.emplace_back([&, job_id] { AppendForEver(**store, job_id, acknowledgements); });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(5);
}

// Reads from the first acknowledgement on for `duration`, kills the child, and reads the rest.
std::vector<Acknowledged> KillAfter(pid_t child, int acknowledgements, absl::Duration duration) {
  std::vector<Acknowledged> all;
  Acknowledged one;
  absl::Time deadline = absl::InfiniteFuture();
  while (absl::Now() < deadline) {
    pollfd ready{acknowledgements, POLLIN, 0};
    if (poll(&ready, 1, 1) <= 0) continue;
    if (read(acknowledgements, &one, sizeof(one)) != sizeof(one)) break;
    if (all.empty()) deadline = absl::Now() + duration;
    all.push_back(one);
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  INFO("the child ended by itself with status " << status);
  REQUIRE(WIFSIGNALED(status));
  while (read(acknowledgements, &one, sizeof(one)) == sizeof(one)) all.push_back(one);
  return all;
}

TEST_CASE("kill -9 at any moment loses nothing that was acknowledged", "[db]") {
  const uint64_t seed = 20180521;
  CAPTURE(seed);
  Rng rng(seed);
  TempDir dir;
  const std::string path = dir.File("t.db");
  {
    auto store = SqliteStore::Open(path, Clock::Real()).value();
    for (int i = 0; i < kThreads; ++i) REQUIRE(store->CreateJob(SampleJob("job")).ok());
  }
  std::vector<Acknowledged> acknowledged;
  for (int round = 0; round < kRounds; ++round) {
    CAPTURE(round);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      close(ends[0]);
      RunChild(path, ends[1]);
    }
    close(ends[1]);
    const absl::Duration life = absl::Microseconds(rng.Between(0, 60'000));
    const std::vector<Acknowledged> fresh = KillAfter(child, ends[0], life);
    close(ends[0]);
    REQUIRE_FALSE(fresh.empty());
    acknowledged.insert(acknowledged.end(), fresh.begin(), fresh.end());

    auto store = SqliteStore::Open(path, Clock::Real()).value();
    RecordFilter everything;
    everything.limit = 1'000'000;
    const std::vector<Record> records = store->QueryRecords(everything).value();
    std::vector<std::vector<Event>> logs = {{}};
    size_t results = 0;
    for (int64_t job_id = 1; job_id <= kThreads; ++job_id) {
      logs.push_back(store->ReadEvents(job_id, 0).value());
      results += logs.back().size() / 2;
      // Both events of an append or none, without gaps.
      REQUIRE(logs.back().size() % 2 == 0);
      for (size_t i = 0; i < logs.back().size(); ++i) {
        if (logs.back()[i].sequence != static_cast<int64_t>(i) + 1) FAIL("gap at " << i);
      }
    }
    // A record and its events together or not at all.
    REQUIRE(records.size() == results);
    for (const Acknowledged& done : acknowledged) {
      CAPTURE(done.job_id, done.record_id, done.sequence);
      const std::vector<Event>& log = logs.at(done.job_id);
      const bool kept =
          done.record_id <= static_cast<int64_t>(records.size()) &&
          records[done.record_id - 1].id == done.record_id &&
          records[done.record_id - 1].attempt_key == AttemptKey(done.job_id, done.sequence) &&
          done.sequence < static_cast<int64_t>(log.size()) &&
          log[done.sequence - 1].record_id == done.record_id;
      if (!kept) FAIL("acknowledged, but lost");
    }
  }
}

}  // namespace
}  // namespace tessera::db
