#include "tuner/promotion.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/rng.h"
#include "db/record/memory_store.h"
#include "db/record/validate.h"

namespace tessera::tuner {
namespace {

constexpr double kNoise = 0.02;
constexpr int kTurns = 20;

double Noisy(double seconds, Rng& rng) {
  double normal = -6;
  for (int i = 0; i < 12; ++i) normal += rng.Uniform();
  return seconds * std::exp(kNoise * normal);
}

// A turn's sample is the faster of two repeats, on a machine whose speed wanders by 30 % and that
// is disturbed now and then.
ComparisonRun Run(const std::vector<double>& seconds, Rng& rng, int turns = kTurns) {
  ComparisonRun run = {"w/cpu", "x86/test", std::vector<db::Measurement>(seconds.size())};
  for (int turn = 0; turn < turns; ++turn) {
    const double mood = std::exp(0.3 * (rng.Uniform() - 0.5));
    for (size_t i = 0; i < seconds.size(); ++i) {
      db::Measurement& measurement = run.measurements[i];
      measurement.outcome = db::Outcome::kOk;
      double sample = HUGE_VAL;
      for (int repeat = 0; repeat < 2; ++repeat) {
        sample = std::min(sample, Noisy(seconds[i], rng) * mood * (rng.Chance(0.02) ? 3 : 1));
      }
      measurement.sample_seconds.push_back(sample);
    }
  }
  return run;
}

std::vector<db::Record> Programs(size_t count) {
  std::vector<db::Record> programs(count);
  for (size_t i = 0; i < count; ++i) {
    programs[i].id = static_cast<int64_t>(10 + i);
    programs[i].task_key = "task";
  }
  return programs;
}

// Whose index wins.
size_t Winner(const std::vector<double>& seconds, Rng& rng) {
  const std::vector<db::Record> programs = Programs(seconds.size());
  const auto comparison = Judge(db::ComparisonPurpose::kPromotion, programs, Run(seconds, rng));
  REQUIRE(comparison.ok());
  return static_cast<size_t>(comparison->promoted - 10);
}

TEST_CASE("a program that is 5 % slower than the incumbent is never promoted", "[promotion]") {
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    REQUIRE(Winner({1, 1.05}, rng) == 0);
    REQUIRE(Winner({1, 1.05, 1.05, 1.06, 1.07}, rng) == 0);
  }
}

TEST_CASE("a program that is 5 % faster than the incumbent is always promoted", "[promotion]") {
  Rng rng(2);
  for (int round = 0; round < 500; ++round) {
    CAPTURE(round);
    REQUIRE(Winner({1, 0.95}, rng) == 1);
    REQUIRE(Winner({1, 1.02, 0.95, 1.1}, rng) == 2);
  }
}

TEST_CASE("of equal programs the incumbent loses in less than one of 100 comparisons",
          "[promotion]") {
  Rng rng(3);
  int pairs_lost = 0, fields_lost = 0;
  const int rounds = 10'000;
  for (int round = 0; round < rounds; ++round) {
    pairs_lost += Winner({1, 1}, rng) != 0;
    fields_lost += Winner({1, 1, 1, 1, 1}, rng) != 0;
  }
  CAPTURE(pairs_lost, fields_lost);
  CHECK(pairs_lost <= rounds / 100);
  CHECK(fields_lost <= rounds / 100);
  CHECK(pairs_lost > 0);  // the noise is there
}

TEST_CASE("the interval is that of the best rival", "[promotion]") {
  Rng rng(4);
  const auto programs = Programs(3);
  const auto lost = Judge(db::ComparisonPurpose::kPromotion, programs, Run({1, 1.2, 1.1}, rng));
  REQUIRE(lost.ok());
  CHECK(lost->promoted == 10);
  CHECK(lost->record_ids == std::vector<int64_t>{10, 11, 12});
  CHECK(lost->ratio == Approx(1.1).epsilon(0.03));
  CHECK(lost->ratio_low > 1);
  CHECK(lost->ratio_high < 1.15);
  CHECK(lost->task_key == "task");
  CHECK(lost->device == "w/cpu");
  CHECK(lost->device_class == "x86/test");
  REQUIRE(lost->sample_seconds.size() == 3);
  CHECK(lost->sample_seconds[2].size() == kTurns);
  const auto won = Judge(db::ComparisonPurpose::kPromotion, programs, Run({1, 0.8, 0.9}, rng));
  CHECK(won->promoted == 11);
  CHECK(won->ratio == Approx(0.8).epsilon(0.03));
  CHECK(won->ratio_high < 1);
}

TEST_CASE("few turns are no ground for a promotion", "[promotion]") {
  Rng rng(5);
  const auto programs = Programs(2);
  for (int turns = 1; turns <= 8; ++turns) {
    CAPTURE(turns);
    const auto comparison =
        Judge(db::ComparisonPurpose::kPromotion, programs, Run({1, 0.5}, rng, turns));
    REQUIRE(comparison.ok());
    CHECK(comparison->promoted == 10);
    CHECK(comparison->ratio == Approx(0.5).epsilon(0.1));
    CHECK(comparison->ratio_low == 0);
    CHECK(comparison->ratio_high == kUnboundedRatio);
  }
}

TEST_CASE("the shortest and the longest samples that are taken make a comparison that is stored",
          "[promotion]") {
  ManualClock clock;
  db::MemoryStore store(clock);
  std::vector<db::Record> records(2);
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].task_key = std::string(64, 'a');
    records[i].attempt_key = absl::StrCat(i);
    records[i].measurement.outcome = db::Outcome::kOk;
    records[i].measurement.sample_seconds = {1};
  }
  const std::vector<int64_t> ids = store.Append(records, {}).value();
  for (size_t i = 0; i < records.size(); ++i) records[i].id = ids[i];
  for (const auto& [incumbent, rival] : {std::pair(1e-12, 1e5), {1e5, 1e-12}}) {
    for (const size_t turns : {1, 20, 256}) {
      CAPTURE(incumbent, rival, turns);
      ComparisonRun run = {"w/cpu", "x86/test", std::vector<db::Measurement>(2)};
      for (db::Measurement& one : run.measurements) one.outcome = db::Outcome::kOk;
      run.measurements[0].sample_seconds.assign(turns, incumbent);
      run.measurements[1].sample_seconds.assign(turns, rival);
      auto comparison = Judge(db::ComparisonPurpose::kPromotion, records, run);
      REQUIRE(comparison.ok());
      CHECK(comparison->ratio <= kUnboundedRatio);
      CHECK(store.AppendComparison(*comparison).status() == absl::OkStatus());
    }
  }
}

TEST_CASE("a rival that left early is judged by the turns that it had", "[promotion]") {
  Rng rng(6);
  ComparisonRun run = Run({1, 1.2, 0.9}, rng);
  run.measurements[1].sample_seconds.resize(6);
  const auto comparison = Judge(db::ComparisonPurpose::kPromotion, Programs(3), run);
  REQUIRE(comparison.ok());
  CHECK(comparison->promoted == 12);
  CHECK(comparison->sample_seconds[1].size() == 6);
}

TEST_CASE("what does not run any more is neither promoted nor stays", "[promotion]") {
  Rng rng(7);
  ComparisonRun run = Run({1, 0.5, 0.9}, rng);
  run.measurements[1].outcome = db::Outcome::kWrongAnswer;
  auto comparison = Judge(db::ComparisonPurpose::kPromotion, Programs(3), run);
  REQUIRE(comparison.ok());
  CHECK(comparison->promoted == 12);
  CHECK(comparison->sample_seconds[1].empty());

  run = Run({1, 3, 2}, rng);
  run.measurements[0] = {.outcome = db::Outcome::kBuildError, .reason = "too many registers"};
  comparison = Judge(db::ComparisonPurpose::kPromotion, Programs(3), run);
  REQUIRE(comparison.ok());
  CHECK(comparison->promoted == 12);
  CHECK(comparison->ratio == 0);

  // Also when only one other runs.
  run.measurements[1] = run.measurements[0];
  comparison = Judge(db::ComparisonPurpose::kPromotion, Programs(3), run);
  REQUIRE(comparison.ok());
  CHECK(comparison->promoted == 12);
  CHECK(comparison->sample_seconds[0].empty());
  CHECK(db::ValidateComparison(*comparison).ok());
  run.measurements[2] = run.measurements[0];
  CHECK(Judge(db::ComparisonPurpose::kPromotion, Programs(3), run).status() ==
        absl::FailedPreconditionError("of 3 programs 0 ran; the last failure: too many registers"));
}

TEST_CASE("an incumbent that runs alone stays without a verdict", "[promotion]") {
  Rng rng(17);
  ComparisonRun run = Run({1, 1}, rng);
  run.measurements[1] = {.outcome = db::Outcome::kBuildError, .reason = "too many registers"};
  CHECK(Judge(db::ComparisonPurpose::kPromotion, Programs(2), run).status() ==
        absl::FailedPreconditionError("of 2 programs 1 ran; the last failure: too many registers"));
  std::swap(run.measurements[0], run.measurements[1]);
  CHECK(Judge(db::ComparisonPurpose::kPromotion, Programs(2), run).ok());
  const std::vector<db::Record> twice(2, Programs(1)[0]);
  CHECK(absl::IsFailedPrecondition(Judge(db::ComparisonPurpose::kSame, twice, run).status()));
}

TEST_CASE("of those that outlive the incumbent the one with the smallest median is promoted",
          "[promotion]") {
  Rng rng(18);
  ComparisonRun run = Run({1, 1.1, 1.3, 1.2, 1.4}, rng);
  run.measurements[0] = {.outcome = db::Outcome::kRunError, .reason = "crashed"};
  run.measurements[1].sample_seconds.resize(6);          // had lost
  run.measurements[2].sample_seconds[3] = 1e-3;          // was lucky
  run.measurements[4].outcome = db::Outcome::kRunError;  // and had some turns
  const auto comparison = Judge(db::ComparisonPurpose::kPromotion, Programs(5), run);
  REQUIRE(comparison.ok());
  CHECK(comparison->promoted == 13);
}

TEST_CASE("a program that is compared with itself is one record, measured twice", "[promotion]") {
  Rng rng(8);
  std::vector<db::Record> twice(2, Programs(1)[0]);
  const auto comparison = Judge(db::ComparisonPurpose::kSame, twice, Run({1, 1}, rng));
  REQUIRE(comparison.ok());
  CHECK(comparison->record_ids == std::vector<int64_t>{10});
  CHECK(comparison->sample_seconds.size() == 2);
  CHECK(comparison->promoted == 10);
}

struct Log {
  int64_t Measure(double seconds, const std::string& trace = "",
                  const std::string& device_class = "x86/test", const std::string& device = "") {
    db::Record record;
    record.device = device;
    record.task_key = std::string(64, 'a');
    record.attempt_key = absl::StrCat("attempt ", ++records);
    record.trace = trace.empty() ? absl::StrCat("trace ", records) : trace;
    record.device_class = device_class;
    record.measurement.outcome = db::Outcome::kOk;
    record.measurement.sample_seconds = {seconds};
    return store.Append({record}, {}).value().at(0);
  }
  void Compare(std::vector<int64_t> ids, int64_t promoted,
               db::ComparisonPurpose purpose = db::ComparisonPurpose::kPromotion) {
    db::Comparison comparison;
    comparison.task_key = std::string(64, 'a');
    comparison.device = "w/cpu";
    comparison.device_class = "x86/test";
    comparison.purpose = purpose;
    comparison.sample_seconds.assign(std::max<size_t>(2, ids.size()), {1e-3});
    comparison.record_ids = std::move(ids);
    comparison.promoted = promoted;
    comparison.ratio_low = comparison.ratio = comparison.ratio_high = 1;
    const auto id = store.AppendComparison(comparison);
    INFO(id.status());
    REQUIRE(id.ok());
  }
  std::vector<int64_t> Contest(int max_rivals = 4) {
    const auto contest = ChooseContest(store, std::string(64, 'a'), "x86/test", max_rivals);
    REQUIRE(contest.ok());
    std::vector<int64_t> ids;
    for (const db::Record& record : *contest) ids.push_back(record.id);
    return ids;
  }
  ManualClock clock;
  db::MemoryStore store{clock};
  int records = 0;
};

TEST_CASE("the fastest is compared with the next within reach", "[promotion]") {
  Log log;
  CHECK(log.Contest().empty());
  const int64_t third = log.Measure(1.09e-3);
  CHECK(log.Contest().empty());
  const int64_t second = log.Measure(1.05e-3);
  const int64_t first = log.Measure(1e-3);
  log.Measure(1.2e-3);
  log.Measure(0.9e-3, "", "x86/other");
  CHECK(log.Contest() == std::vector<int64_t>{first, second, third});
  CHECK(log.Contest(1) == std::vector<int64_t>{first, second});
}

TEST_CASE("rivals are chosen by the paces of the devices that measured them", "[promotion]") {
  Log log;
  const int64_t fast = log.Measure(1e-3, "", "x86/test", "fast");
  const int64_t slow = log.Measure(1.14e-3, "", "x86/test", "slow");
  CHECK(log.Contest().empty());
  db::Device device;
  device.id = "slow";
  device.device_class.name = "x86/test";
  device.pace = {1.2, 4};
  REQUIRE(log.store.PutDevice(device).ok());
  CHECK(log.Contest() == std::vector<int64_t>{slow, fast});
}

TEST_CASE("what calls a library is promoted where that is allowed alone", "[promotion]") {
  Log log;
  const std::string key(64, 'a');
  const int64_t loops = log.Measure(1.02e-3, "trace 1\n");
  const int64_t other = log.Measure(1.03e-3, "trace 1\nunroll matmul k\n");
  const int64_t called = log.Measure(1e-3, "trace 1\nexternal matmul openblas\n");
  const auto contest = [&](std::string_view allowed) {
    std::vector<int64_t> ids;
    const auto found = ChooseContest(log.store, key, "x86/test", 4, allowed);
    REQUIRE(found.ok());
    for (const db::Record& record : *found) {
      ids.push_back(record.id);
    }
    return ids;
  };
  CHECK(contest("") == std::vector<int64_t>{loops, other});
  CHECK(contest("openblas") == std::vector<int64_t>{called, loops, other});
  log.Compare({loops, other}, other);
  log.Compare({loops, other, called}, called);
  CHECK(FindPromoted(log.store, key, "x86/test").value()->record.id == other);
  CHECK(FindPromoted(log.store, key, "x86/test", "openblas").value()->record.id == called);
}

TEST_CASE("what was promoted is the incumbent until a new program is beside it", "[promotion]") {
  Log log;
  const int64_t lucky = log.Measure(1e-3, "lucky");
  const int64_t good = log.Measure(1.02e-3, "good");
  log.Compare({lucky, good}, good);
  log.Compare({lucky}, lucky, db::ComparisonPurpose::kSame);  // says nothing about the best
  CHECK(log.Contest().empty());
  const auto promoted = FindPromoted(log.store, std::string(64, 'a'), "x86/test");
  REQUIRE(promoted.ok());
  REQUIRE(promoted->has_value());
  CHECK((*promoted)->record.id == good);
  const int64_t fresh = log.Measure(1.01e-3, "fresh");
  CHECK(log.Contest() == std::vector<int64_t>{good, lucky, fresh});
  // Measured again, it is still the same program.
  log.Compare({good, lucky, fresh}, good);
  log.Measure(0.99e-3, "good");
  CHECK(log.Contest().empty());
  // So are its rivals.
  log.Measure(0.98e-3, "lucky");
  CHECK(log.Contest().empty());
  log.Measure(1.3e-3, "slow");
  CHECK(log.Contest().empty());
}

}  // namespace
}  // namespace tessera::tuner
