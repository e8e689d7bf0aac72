#include "worker/runner/turns.h"

#include <catch2/catch.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/rng.h"

namespace tessera::runner {
namespace {

using db::Outcome;

db::Measurement Sample(double seconds, Outcome outcome = Outcome::kOk) {
  db::Measurement measurement;
  measurement.outcome = outcome;
  if (outcome == Outcome::kOk) {
    measurement.sample_seconds = {seconds};
    measurement.sample_calls = {10};
  } else {
    measurement.reason = "told so";
  }
  measurement.run_seconds = 0.5;
  return measurement;
}

// Programs that take so long, whatever the turn, and how often each was run.
struct Programs {
  explicit Programs(std::vector<double> seconds) : seconds(std::move(seconds)) {}
  absl::StatusOr<std::vector<db::Measurement>> Compare(const TurnRules& rules) {
    runs.assign(seconds.size(), 0);
    return MeasureInTurns(seconds.size(), rules, [&](size_t i) -> absl::StatusOr<db::Measurement> {
      ++runs[i];
      order.push_back(i);
      if (fails && fails(i, runs[i])) return Sample(0, how);
      return Sample(seconds[i]);
    });
  }
  std::vector<double> seconds;
  std::vector<int> runs;
  std::vector<size_t> order;
  std::function<bool(size_t program, int run)> fails;
  Outcome how = Outcome::kRunError;
};

TEST_CASE("a program that loses every turn is out after six, and nobody goes on alone", "[turns]") {
  Programs programs({1, 1.01});
  auto measured = programs.Compare({.turns = 20});
  REQUIRE(measured.ok());
  CHECK(programs.runs == std::vector<int>{6, 6});
  CHECK(measured->at(1).sample_seconds == std::vector<double>(6, 1.01));
  CHECK(measured->at(1).sample_calls.size() == 6);
  CHECK(measured->at(1).run_seconds == 3);

  Programs field({1, 1.5, 0.9, 2});
  measured = field.Compare({.turns = 20});
  CHECK(field.runs == std::vector<int>{20, 6, 20, 6});
  CHECK(measured->at(0).sample_seconds.size() == 20);
}

TEST_CASE("the order within a turn is random, and the seed's", "[turns]") {
  std::set<std::vector<size_t>> orders;
  Programs programs({1, 0.9, 0.8});
  REQUIRE(programs.Compare({.turns = 40, .seed = 5}).ok());
  for (size_t at = 0; at + 3 <= programs.order.size(); at += 3) {
    orders.insert({programs.order[at], programs.order[at + 1], programs.order[at + 2]});
  }
  CHECK(orders.size() == 6);
  Programs again(programs.seconds);
  REQUIRE(again.Compare({.turns = 40, .seed = 5}).ok());
  CHECK(again.order == programs.order);
  Programs other(programs.seconds);
  REQUIRE(other.Compare({.turns = 40, .seed = 6}).ok());
  CHECK(other.order != programs.order);
}

TEST_CASE("equal programs leave seldom, faster ones hardly ever", "[turns]") {
  Rng rng(1);
  int equal_left = 0, faster_left = 0;
  const auto leaves = [&](double factor) {
    const auto measured = MeasureInTurns(2, {.turns = 20, .seed = rng.Next()}, [&](size_t i) {
      double noise = -6;
      for (int k = 0; k < 12; ++k) noise += rng.Uniform();
      return absl::StatusOr<db::Measurement>(Sample((i == 0 ? 1 : factor) * (1 + 0.02 * noise)));
    });
    return measured->at(1).sample_seconds.size() < 20;
  };
  const int rounds = 4000;
  for (int round = 0; round < rounds; ++round) {
    equal_left += leaves(1);
    faster_left += leaves(0.98);
  }
  CAPTURE(equal_left, faster_left);
  CHECK(equal_left > 0.15 * rounds);
  CHECK(equal_left < 0.23 * rounds);
  CHECK(faster_left < 0.003 * rounds);
}

TEST_CASE("a program that fails in some turn has failed, and the others go on", "[turns]") {
  Programs programs({1, 0.9, 0.8});
  programs.fails = [](size_t i, int run) { return i == 1 && run == 4; };
  auto measured = programs.Compare({.turns = 9});
  REQUIRE(measured.ok());
  CHECK(programs.runs == std::vector<int>{9, 4, 9});
  CHECK(measured->at(1).outcome == Outcome::kRunError);
  CHECK(measured->at(1).reason == "told so");
  CHECK(measured->at(1).sample_seconds.empty());
  // Without the first there is nothing to lose against.
  Programs headless({1, 5, 0.8});
  headless.fails = [](size_t i, int) { return i == 0; };
  measured = headless.Compare({.turns = 9});
  REQUIRE(measured.ok());
  CHECK(headless.runs == std::vector<int>{1, 9, 9});
}

TEST_CASE("a turn that is spoilt for one program counts for none", "[turns]") {
  Programs programs({1, 0.9, 0.8});
  programs.how = Outcome::kInfrastructure;
  programs.fails = [](size_t i, int run) { return i == 1 && run % 2 == 0; };
  auto measured = programs.Compare({.turns = 10});
  REQUIRE(measured.ok());
  for (const db::Measurement& one : *measured) {
    CHECK(one.outcome == Outcome::kOk);
    CHECK(one.sample_seconds.size() == 5);
  }
  programs.fails = [](size_t i, int) { return i == 2; };
  measured = programs.Compare({.turns = 4});
  CHECK(measured.status() == absl::UnavailableError("4 turns were spoilt, the last: told so"));
  programs.how = Outcome::kCancelled;
  CHECK(absl::IsCancelled(programs.Compare({.turns = 4}).status()));
}

TEST_CASE("a turn in which the time is over ends there and counts for none", "[turns]") {
  Programs programs({1, 0.9, 0.8});
  // Of the second turn the first program, whichever it is, takes all that is left.
  programs.fails = [](size_t, int run) {
    if (run == 2) absl::SleepFor(absl::Seconds(0.3));
    return false;
  };
  const auto measured = programs.Compare({.turns = 20, .max_seconds = 0.3});
  REQUIRE(measured.ok());
  CHECK(programs.order.size() == 4);
  for (const db::Measurement& one : *measured) {
    CHECK(one.outcome == Outcome::kOk);
    CHECK(one.sample_seconds.size() == 1);
  }
}

TEST_CASE("when the time is over no turn begins, but the first", "[turns]") {
  Programs programs({1, 0.9});
  const auto measured = programs.Compare({.turns = 20, .max_seconds = 0});
  REQUIRE(measured.ok());
  CHECK(programs.runs == std::vector<int>{1, 1});
  CHECK(MeasureInTurns(2, {}, [](size_t) -> absl::StatusOr<db::Measurement> {
          return absl::ResourceExhaustedError("no memory");
        }).status() == absl::ResourceExhaustedError("no memory"));
}

}  // namespace
}  // namespace tessera::runner
