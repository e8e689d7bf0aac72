#include "db/record/record.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <set>
#include <string>

#include "tests/db/record/samples.h"

namespace tessera::db {
namespace {

// Every value up to `last` has a word of its own that parses back.
template <typename Enum, typename Parse>
void CheckWords(Enum last, Parse parse) {
  std::set<std::string> words;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const std::string word(ToString(static_cast<Enum>(i)));
    CAPTURE(word);
    CHECK(words.insert(word).second);
    const absl::StatusOr<Enum> parsed = parse(word);
    REQUIRE(parsed.ok());
    CHECK(*parsed == static_cast<Enum>(i));
  }
  CHECK(absl::IsInvalidArgument(parse("").status()));
  CHECK(absl::IsInvalidArgument(parse("OK").status()));
}

TEST_CASE("a job has ended when it is done, failed or cancelled", "[db]") {
  CHECK_FALSE(HasEnded(JobState::kQueued));
  CHECK_FALSE(HasEnded(JobState::kRunning));
  for (const JobState state : {JobState::kDone, JobState::kFailed, JobState::kCancelled}) {
    CHECK(HasEnded(state));
  }
}

TEST_CASE("enumerations and their words go both ways", "[db]") {
  CheckWords(Outcome::kCancelled, ParseOutcome);
  CheckWords(CacheMode::kCold, ParseCacheMode);
  CheckWords(JobState::kCancelled, ParseJobState);
  CheckWords(EventKind::kCompared, ParseEventKind);
  CheckWords(ComparisonPurpose::kSame, ParseComparisonPurpose);
}

TEST_CASE("stored words do not change", "[db]") {
  CHECK(ToString(Outcome::kOk) == "ok");
  CHECK(ToString(Outcome::kBuildError) == "build_error");
  CHECK(ToString(Outcome::kInfrastructure) == "infrastructure");
  CHECK(ToString(JobState::kCancelled) == "cancelled");
  CHECK(ToString(EventKind::kModelReady) == "model_ready");
  CHECK(ToString(EventKind::kCompared) == "compared");
  CHECK(ToString(ComparisonPurpose::kPromotion) == "promotion");
}

TEST_CASE("an unknown word is refused with the known ones", "[db]") {
  const absl::Status status = ParseJobState("paused").status();
  CHECK(status.message() ==
        "job state: unknown value \"paused\", known are queued, running, done, failed, cancelled");
}

TEST_CASE("only failures of the candidate teach the cost model", "[db]") {
  CHECK(IsCandidateFailure(Outcome::kBuildError));
  CHECK(IsCandidateFailure(Outcome::kWrongAnswer));
  CHECK_FALSE(IsCandidateFailure(Outcome::kOk));
  CHECK_FALSE(IsCandidateFailure(Outcome::kInfrastructure));
  CHECK_FALSE(IsCandidateFailure(Outcome::kCancelled));
}

TEST_CASE("a task's key depends on all but name and weight", "[db]") {
  const Task task = SampleTask("C2");
  const std::string key = task.Key();
  CHECK(key.size() == 64);
  Task same = task;
  same.name = "other";
  same.weight = 9;
  CHECK(same.Key() == key);
  auto key_after = [&](auto change) {
    Task changed = task;
    change(changed);
    return changed.Key();
  };
  std::set<std::string> keys = {key};
  keys.insert(key_after([](Task& t) { t.workload_hash += "0"; }));
  keys.insert(key_after([](Task& t) { t.workload += "0"; }));
  keys.insert(key_after([](Task& t) { t.target += "0"; }));
  keys.insert(key_after([](Task& t) { t.threads = 2; }));
  keys.insert(key_after([](Task& t) { t.cache_mode = CacheMode::kWarm; }));
  // The same bytes, divided otherwise between two fields.
  keys.insert(key_after([](Task& t) {
    t.target = t.workload.back() + t.target;
    t.workload.pop_back();
  }));
  CHECK(keys.size() == 7);
}

TEST_CASE("a task's key is the same in every release", "[db]") {
  Task task;
  task.workload_hash = "0011223344556677";
  task.workload = "matmul";
  task.target = "x86-64-v3";
  CHECK(task.Key() == "0d5ccb37bb5784e847b359fccc52bc4618fc40e65a696346b4d5c3f44ee3ccd0");
}

TEST_CASE("cost is the fastest sample and infinite unless ok", "[db]") {
  Measurement measurement;
  measurement.sample_seconds = {3, 1, 2};
  CHECK(std::isinf(measurement.CostSeconds()));
  measurement.outcome = Outcome::kOk;
  CHECK(measurement.CostSeconds() == 1);
  measurement.sample_seconds.clear();
  CHECK(std::isinf(measurement.CostSeconds()));
}

}  // namespace
}  // namespace tessera::db
