#pragma once

// What tests of every Store begin with.

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "db/record/store.h"
#include "tests/db/record/samples.h"

namespace tessera::db {

// An empty store; `clock` outlives it.
std::shared_ptr<Store> MakeStore(Clock& clock);

namespace conformance {

struct Fixture {
  ManualClock clock{absl::FromUnixMicros(1'600'000'000'000'001)};
  std::shared_ptr<Store> store = MakeStore(clock);

  int64_t CreateJob(const std::string& name = "job") {
    absl::StatusOr<int64_t> id = store->CreateJob(SampleJob(name));
    REQUIRE(id.ok());
    return *id;
  }
  std::vector<int64_t> Append(const std::vector<Record>& records,
                              const std::vector<Event>& events = {}) {
    absl::StatusOr<std::vector<int64_t>> ids = store->Append(records, events);
    INFO(ids.status().ToString());
    REQUIRE(ids.ok());
    return *ids;
  }
  std::vector<Record> Query(const RecordFilter& filter = {}) {
    absl::StatusOr<std::vector<Record>> records = store->QueryRecords(filter);
    INFO(records.status().ToString());
    REQUIRE(records.ok());
    return *records;
  }
  std::vector<std::string> BestAttempts(const std::string& task, const std::string& device_class,
                                        int count) {
    absl::StatusOr<std::vector<Record>> best = store->Best(task, device_class, count);
    REQUIRE(best.ok());
    std::vector<std::string> attempts;
    for (const Record& record : *best) attempts.push_back(record.attempt_key);
    return attempts;
  }
  absl::StatusCode AppendCode(const std::vector<Record>& records,
                              const std::vector<Event>& events = {}) {
    return store->Append(records, events).status().code();
  }
};

using Attempts = std::vector<std::string>;
using Ids = std::vector<int64_t>;

inline Ids IdsOf(const std::vector<Record>& records) {
  Ids ids;
  for (const Record& record : records) ids.push_back(record.id);
  return ids;
}

}  // namespace conformance
}  // namespace tessera::db
