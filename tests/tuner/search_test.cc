#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/tuner/rig.h"
#include "tuner/accept.h"
#include "tuner/explorer.h"

namespace tessera::test {
namespace {

// Log of the best noise-free time found ÷ 1 ms.
double BestLog(const std::string& explorer, uint64_t seed, int trials) {
  Rig rig(1, Budget(trials, seed, explorer),
          {.capacity = 4, .noise = 0.03, .failure_rate = 0.02, .reorder = true, .seed = seed},
          1000 + seed, 12);
  rig.Run(2);
  double best = 1e9;
  for (const db::Record& record : rig.Records()) {
    if (record.measurement.outcome != db::Outcome::kOk) continue;
    best = std::min(best, std::log(rig.spaces[0]->CostSeconds(record.config) / 1e-3));
  }
  return best;
}

TEST_CASE("every explorer with a model beats random search over seeds", "[tuner]") {
  constexpr int kSeeds = 12;
  std::vector<double> random;
  double random_mean = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    random.push_back(BestLog("random", seed, 96));
    random_mean += random.back() / kSeeds;
  }
  for (const tuner::ExplorerKind& known : tuner::ExplorerKinds()) {
    const std::string explorer(known.name);
    if (!(*tuner::MakeExplorer(explorer))->UsesModel()) continue;
    double mean = 0;
    int wins = 0;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const double best = BestLog(explorer, seed, 96);
      mean += best / kSeeds;
      wins += best < random[seed - 1];
    }
    CAPTURE(explorer, mean, random_mean, wins);
    // The measure is how much slower than the optimum the found one is, on a log scale.
    CHECK(mean < 0.7 * random_mean);
    CHECK(wins >= 10);
  }
}

TEST_CASE("half of annealing's budget is worth more than random's whole", "[tuner]") {
  double annealing = 0;
  double random = 0;
  for (uint64_t seed = 21; seed <= 28; ++seed) {
    annealing += BestLog("annealing", seed, 64);
    random += BestLog("random", seed, 128);
  }
  CAPTURE(annealing, random);
  CHECK(annealing < random);
}

TEST_CASE("a measurement that can't be is the device's failure", "[tuner]") {
  tuner::Trial trial;
  trial.loop_hash = 42;
  trial.config = "config";
  trial.trace = "trace";
  trial.explorer = "random";
  db::Record good;
  good.measurement.outcome = db::Outcome::kOk;
  good.measurement.sample_seconds = {1e-3, 2e-3};
  good.loop_hash = HashToHex(42);
  good.trace = "what the device claims";
  const auto accept = [&](db::Record record) {
    return tuner::AcceptRecord(7, 3, trial, "key", std::move(record));
  };
  const db::Record accepted = accept(good);
  CHECK(accepted.measurement.outcome == db::Outcome::kOk);
  CHECK(accepted.trace == "trace");
  CHECK(accepted.attempt_key == "7/3/0/0");
  CHECK(accepted.trial == 3);

  for (double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    db::Record record = good;
    record.measurement.sample_seconds[1] = bad;
    CHECK(accept(record).measurement.outcome == db::Outcome::kInfrastructure);
    CHECK(accept(record).measurement.sample_seconds.empty());
  }
  db::Record without = good;
  without.measurement.sample_seconds.clear();
  CHECK(accept(without).measurement.outcome == db::Outcome::kInfrastructure);
  db::Record other = good;
  other.loop_hash = HashToHex(43);
  CHECK(accept(other).measurement.reason.find("loop hash") != std::string::npos);
  db::Record unread = good;
  unread.measurement.environment.cpu_mhz = std::nan("");
  CHECK(accept(unread).measurement.outcome == db::Outcome::kOk);
  CHECK(accept(unread).measurement.environment.cpu_mhz == -1);
}

}  // namespace
}  // namespace tessera::test
