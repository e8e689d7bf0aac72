// From one config of a space to others.

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/loop_structure.h"
#include "tests/schedule_space/spaces.h"

namespace tessera::space {
namespace {

TEST_CASE("neighbours differ, are valid, and one knob moved", "[space]") {
  int alone = 0;  // neighbours whose other knobs had no need to follow
  for (const te::OpSpec& spec : te::TestWorkloads()) {
    const te::Workload workload = Make(spec);
    const ConfigSpace space = SpaceOf(workload, 2);
    const uint64_t seed = 8;
    CAPTURE(spec.name, seed);
    Rng rng(seed);
    const Config config = space.Sample(rng);
    const std::vector<Knob>& knobs = space.KnobsOf(config);
    std::set<Config> seen = {config};
    for (const Config& neighbour : space.Neighbours(config)) {
      CAPTURE(space.ToJson(config), space.ToJson(neighbour));
      REQUIRE(space.Validate(neighbour).ok());
      REQUIRE(space.ToSchedule(neighbour).ok());
      CHECK(seen.insert(neighbour).second);
      CHECK(neighbour[0] == config[0]);
      int different = 0;
      for (size_t k = 1; k < config.size(); ++k) different += neighbour[k] != config[k];
      alone += different == 1;
    }
    CHECK(seen.size() <= 1 + 60 * knobs.size());
  }
  CHECK(alone > 100);
}

TEST_CASE("the same seed gives the same configs", "[space]") {
  const ConfigSpace a = SpaceOf(C2(), 2), b = SpaceOf(C2(), 2);
  Rng first(42), second(42);
  Config x = a.Sample(first), y = b.Sample(second);
  for (int i = 0; i < 50; ++i) {
    CHECK(x == y);
    x = a.Crossover(a.Mutate(x, first), a.Sample(first), first);
    y = b.Crossover(b.Mutate(y, second), b.Sample(second), second);
  }
}

TEST_CASE("mutation changes the config, mostly by one knob a little", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  Rng rng(9);
  const Config start = space.Sample(rng);
  int small = 0;
  for (int i = 0; i < 200; ++i) {
    const Config next = space.Mutate(start, rng);
    CHECK(next != start);
    if (next.size() != start.size()) continue;
    int changed = 0;
    for (size_t k = 0; k < next.size(); ++k) changed += next[k] != start[k] ? 1 : 0;
    small += changed <= 3 ? 1 : 0;
  }
  CHECK(small > 150);
}

TEST_CASE("a jump has any option of a knob, a mutation a near one", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  Rng rng(9);
  // Doublings that the register tile moves.
  const auto tile_moves = [&](auto move) {
    std::vector<double> distances;
    for (int i = 0; i < 4000; ++i) {
      const Config start = space.Sample(rng);
      const Knob& knob = space.KnobsOf(start)[0];
      const Config next = (space.*move)(start, rng);
      if (knob.name != "tile" || next[0] != start[0] || next[1] == start[1]) continue;
      distances.push_back(Distance(knob, start[1], next[1]));
    }
    std::ranges::sort(distances);
    return distances;
  };
  const std::vector<double> jumps = tile_moves(&ConfigSpace::Jump);
  const std::vector<double> mutations = tile_moves(&ConfigSpace::Mutate);
  REQUIRE(jumps.size() > 100);
  REQUIRE(mutations.size() > 100);
  CHECK(jumps[jumps.size() / 2] > 3);
  CHECK(mutations[mutations.size() / 2] <= 2);
}

TEST_CASE("jumps reach every sketch", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  REQUIRE(space.sketches().size() > 1);
  Rng rng(9);
  std::set<int> sketches;
  Config config = space.Sample(rng);
  for (int i = 0; i < 2000; ++i) {
    const Config next = space.Jump(config, rng);
    CHECK(next != config);
    config = next;
    sketches.insert(config[0]);
  }
  CHECK(sketches.size() == space.sketches().size());
}

TEST_CASE("a crossing has knobs of both parents, half of each", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  Rng rng(9);
  int of_a = 0, of_b = 0, repaired = 0;
  for (int i = 0; i < 500; ++i) {
    const Config a = space.Sample(rng);
    Config b = space.Sample(rng);
    while (b[0] != a[0]) b = space.Sample(rng);
    const Config child = space.Crossover(a, b, rng);
    REQUIRE(child[0] == a[0]);
    for (size_t k = 1; k < child.size(); ++k) {
      if (a[k] == b[k]) continue;
      of_a += child[k] == a[k];
      of_b += child[k] == b[k];
      repaired += child[k] != a[k] && child[k] != b[k];
    }
  }
  CAPTURE(of_a, of_b, repaired);
  const double all = of_a + of_b + repaired;
  CHECK(of_a / all > 0.4);
  CHECK(of_b / all > 0.4);
}

TEST_CASE("a move to another sketch often keeps what both have", "[space]") {
  const ConfigSpace space = SpaceOf(C2(), 1);
  const uint64_t seed = 5;
  CAPTURE(seed);
  Rng rng(seed);
  Config start = space.Sample(rng);
  while (space.sketches()[start[0]].name != "direct") start = space.Sample(rng);
  const auto tile = [&](const Config& config) -> Option {
    const Knob& knob = space.KnobsOf(config)[0];
    return knob.name == "tile" ? knob.options[config[1]] : Option{};
  };
  int moved = 0, kept = 0;
  for (int i = 0; i < 3000; ++i) {
    const Config next = space.Mutate(start, rng);
    REQUIRE(space.Validate(next).ok());
    const std::string& sketch = space.sketches()[next[0]].name;
    if (sketch != "padded") continue;
    ++moved;
    kept += tile(next) == tile(start) ? 1 : 0;
  }
  CAPTURE(moved, kept);
  CHECK(moved > 10);
  CHECK(kept > moved / 3);
  CHECK(kept < moved);
}

}  // namespace
}  // namespace tessera::space
