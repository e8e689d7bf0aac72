#include "tuner/batch.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/tuner/synthetic.h"

namespace tessera::test {
namespace {

using tuner::Candidate;
using tuner::Outlook;
using tuner::Point;

// By scores alone, which are from 0 to 1, unless `options` say otherwise.
std::vector<int> Select(const std::vector<Candidate>& pool, int count,
                        const std::vector<Point>& in_flight, tuner::BatchOptions options,
                        Outlook outlook = {}, uint64_t seed = 1) {
  if (outlook.scores.empty()) {
    for (const Candidate& candidate : pool) outlook.scores.push_back(candidate.score);
  }
  Rng rng(seed);
  return tuner::SelectBatch(pool, in_flight, outlook, count, options, rng);
}

Point Of(int32_t option, int32_t last) {
  return {0, option, option, option, option, option, option, last};
}

constexpr tuner::BatchOptions kScores = {.diversity = 0, .liar = 0};
constexpr tuner::BatchOptions kDiverse = {.diversity = 1, .liar = 0};
constexpr tuner::BatchOptions kLiar = {.diversity = 0, .liar = 1};

TEST_CASE("a batch prefers good candidates and covers different knob values", "[tuner]") {
  const std::vector<Candidate> pool = {
      {{0, 1, 1}, 1.0f}, {{0, 1, 2}, 0.95f}, {{0, 2, 3}, 0.9f}, {{0, 9, 9}, 0.0f}};
  CHECK(Select(pool, 3, {}, kScores) == std::vector<int>{0, 1, 2});
  // The second shares two of its three values with the first, the third one.
  CHECK(Select(pool, 3, {}, kDiverse) == std::vector<int>{0, 2, 1});
  // What is in flight counts as covered.
  CHECK(Select(pool, 1, {{0, 1, 1}}, kDiverse) == std::vector<int>{2});
  CHECK(Select(pool, 9, {}, kDiverse).size() == 4);
  CHECK(Select({}, 3, {}, kDiverse).empty());
}

TEST_CASE("equal knob values of different sketches are different values", "[tuner]") {
  const std::vector<Candidate> pool = {{{0, 1, 1}, 1.0f}, {{0, 1, 2}, 1.0f}, {{1, 1, 1}, 1.0f}};
  CHECK(Select(pool, 2, {}, kDiverse) == std::vector<int>{0, 2});
}

TEST_CASE("what is near a promising trial waits for its result", "[tuner]") {
  // The best differs from what is in flight in one knob.
  const std::vector<Candidate> pool = {
      {Of(1, 2), 1.0f}, {Of(5, 5), 0.9f}, {Of(8, 8), 0.0f}, {Of(9, 9), 0.0f}};
  const std::vector<Point> in_flight = {Of(1, 1)};
  Outlook outlook = {{1, 0.9, 0, 0}, {}, {1}};
  CHECK(Select(pool, 2, in_flight, kLiar, outlook) == std::vector<int>{1, 0});
  CHECK(Select(pool, 2, in_flight, kScores, outlook) == std::vector<int>{0, 1});
  // One that promises no more than the pool's mean, or of which nothing is told, holds up nothing.
  outlook.in_flight = {0.4};
  CHECK(Select(pool, 2, in_flight, kLiar, outlook) == std::vector<int>{0, 1});
  outlook.in_flight = {};
  CHECK(Select(pool, 2, in_flight, kLiar, outlook) == std::vector<int>{0, 1});
  // Nor does one of another sketch.
  outlook.in_flight = {1};
  Point other = in_flight[0];
  other[0] = 1;
  CHECK(Select(pool, 2, {other}, kLiar, outlook) == std::vector<int>{0, 1});
}

TEST_CASE("the choices of a batch wait for each other's results, too", "[tuner]") {
  const std::vector<Candidate> pool = {
      {Of(1, 1), 1.0f}, {Of(1, 2), 0.95f}, {Of(5, 5), 0.9f}, {Of(8, 8), 0.0f}};
  CHECK(Select(pool, 2, {}, kScores) == std::vector<int>{0, 1});
  CHECK(Select(pool, 2, {}, kLiar) == std::vector<int>{0, 2});
}

TEST_CASE("each choice of a batch is made by a draw of its own", "[tuner]") {
  const std::vector<Candidate> pool = {{{0, 1}, 1.0f}, {{0, 2}, 0.5f}, {{0, 3}, 0.0f}};
  constexpr int kSeeds = 2000;
  const auto share = [&](const std::vector<double>& deviations) {
    int first = 0;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      first += Select(pool, 1, {}, kScores, {{1, 0.5, 0}, deviations, {}}, seed)[0] == 1;
    }
    return first / static_cast<double>(kSeeds);
  };
  CHECK(share({}) == 0);
  CHECK(share({0, 0, 0}) == 0);
  // Normal: how often 0.5 + d × z is more than 1.
  CHECK(share({0, 0.5, 0}) == Approx(0.159).margin(0.03));
  CHECK(share({0, 1, 0}) == Approx(0.309).margin(0.03));
  // What is certain and bad is not taken for what others may turn out to be.
  int worst_second = 0, same_order = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto chosen = Select(pool, 3, {}, kScores, {{1, 1, 1}, {1, 1, 1}, {}}, seed);
    worst_second += chosen[1] == 2;
    same_order += chosen == std::vector<int>{0, 1, 2};
  }
  CHECK(worst_second / double{kSeeds} == Approx(1 / 3.0).margin(0.04));
  CHECK(same_order / double{kSeeds} == Approx(1 / 6.0).margin(0.04));
}

// Of rows of one column, the value is the score, and a tenth of it how far that may be off.
class Column final : public tuner::Ranker {
 public:
  std::vector<float> Score(absl::Span<const float> rows, int columns) const override {
    std::vector<float> scores;
    for (size_t i = 1; i < rows.size(); i += columns) scores.push_back(rows[i]);
    return scores;
  }
  costmodel::Scores ScoreWithDeviation(absl::Span<const float> rows, int columns) const override {
    costmodel::Scores scores = {Score(rows, columns), {}};
    for (const float score : scores.mean) scores.deviation.push_back(score / 10);
    return scores;
  }
};

TEST_CASE("what is expected is told in the unit of the pool's scores", "[tuner]") {
  const SyntheticSpace space(1, 1);  // a row is 1, x, x² of x = the knob ÷ 16
  const tuner::Examples examples({}, 1);
  const absl::flat_hash_set<uint64_t> known;
  const Column ranker;
  // The scores are ranks, as of a portfolio: the model says 4/16, 12/16, 8/16.
  const std::vector<Candidate> pool = {{{0, 4}, 10}, {{0, 12}, 30}, {{0, 8}, 15}};
  const Outlook outlook =
      tuner::Expect({space, &ranker, examples, known, known}, pool, {{0, 10}, {0, 15}, {0, 1}});
  CHECK(outlook.scores == std::vector<double>{0, 1, 0.25});
  REQUIRE(outlook.deviations.size() == 3);
  CHECK(outlook.deviations[0] == Approx(0.05));
  CHECK(outlook.deviations[1] == Approx(0.15));
  REQUIRE(outlook.in_flight.size() == 3);
  CHECK(outlook.in_flight[0] == Approx(0.75));
  CHECK(outlook.in_flight[1] == 1);
  CHECK(outlook.in_flight[2] == 0);

  const Outlook blind = tuner::Expect({space, nullptr, examples, known, known}, pool, {{0, 10}});
  CHECK(blind.scores == outlook.scores);
  CHECK(blind.deviations.empty());
  CHECK(blind.in_flight.empty());
}

}  // namespace
}  // namespace tessera::test
