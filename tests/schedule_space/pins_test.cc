#include "schedule_space/pins.h"

#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/loop_structure.h"
#include "tests/schedule_space/spaces.h"

namespace tessera::space {
namespace {

using Json = nlohmann::ordered_json;

te::OpSpec Convolution() {
  return {"c",
          "conv2d",
          {{"size", "14"},
           {"ic", "32"},
           {"oc", "64"},
           {"k", "3"},
           {"pad", "1"},
           {"layout", "any"},
           {"relu", "true"}}};
}

// Of some knobs what a few sampled configs have, so that at least one of those keeps to it.
std::string RandomPins(const ConfigSpace& space, double pinned_share, Rng& rng) {
  std::vector<Json> configs;
  const Config first = space.Sample(rng);
  configs.push_back(Json::parse(space.ToJson(first)));
  for (int i = 0; i < 2; ++i) {
    const Config other = space.Mutate(first, rng);
    if (other[0] == first[0]) configs.push_back(Json::parse(space.ToJson(other)));
  }
  Json pins = Json::object();
  for (const auto& [name, value] : configs[0].items()) {
    if (!rng.Chance(pinned_share)) continue;
    std::set<Json> values = {value};
    for (const Json& config : configs) {
      if (rng.Chance(0.5)) values.insert(config[name]);
    }
    pins[name] = values;
  }
  return pins.dump();
}

Json ValueOf(const Knob& knob, int option) {
  const Option& parts = knob.options[option];
  if (knob.is_order) return std::vector<int64_t>(parts.begin(), parts.end());
  if (parts.size() == 1) return parts[0];
  Json value;
  for (size_t p = 0; p < parts.size(); ++p) value[knob.parts[p]] = parts[p];
  return value;
}

bool Lists(const Json& pins, const std::string& name, const Json& value) {
  if (!pins.contains(name)) return true;
  const Json& values = pins[name];
  return std::find(values.begin(), values.end(), value) != values.end();
}

// Whether each knob, one after the other, has a listed option, or can have one in the same program.
bool KeepsTo(const ConfigSpace& whole, const Json& pins, const Config& config) {
  const Sketch& sketch = whole.sketches()[config[0]];
  if (!Lists(pins, "sketch", sketch.name)) return false;
  const std::vector<Knob>& knobs = sketch.group->knobs();
  Config choices = config;
  for (size_t k = 0; k < knobs.size(); ++k) {
    const auto lists = [&](int option) {
      return Lists(pins, knobs[k].name, ValueOf(knobs[k], option));
    };
    if (lists(choices[k + 1])) continue;
    const std::vector<int>& domain = knobs[k].Domain(absl::MakeConstSpan(choices).subspan(1));
    const auto stands = std::find_if(domain.begin(), domain.end(), [&](int option) {
      Config other = choices;
      other[k + 1] = option;
      sketch.group->Canonicalize(absl::MakeSpan(other).subspan(1));
      return other == config && lists(option);
    });
    if (stands == domain.end()) return false;
    choices[k + 1] = *stands;
  }
  return true;
}

// Those of them that listed choices stand for, by going through everything; none if that is too
// much.
std::optional<std::set<Config>> BruteForce(const ConfigSpace& whole, const Json& pins) {
  constexpr int kMost = 60'000;
  std::set<Config> found;
  int visited = 0;
  for (size_t s = 0; s < whole.sketches().size(); ++s) {
    const Sketch& sketch = whole.sketches()[s];
    if (!Lists(pins, "sketch", sketch.name)) continue;
    const std::vector<Knob>& knobs = sketch.group->knobs();
    Config choices(knobs.size() + 1, 0);
    choices[0] = static_cast<int>(s);
    const std::function<void(size_t)> extend = [&](size_t k) {
      if (visited > kMost) return;
      if (k == knobs.size()) {
        ++visited;
        Config config = choices;
        sketch.group->Canonicalize(absl::MakeSpan(config).subspan(1));
        if (KeepsTo(whole, pins, config)) found.insert(std::move(config));
        return;
      }
      for (const int option : knobs[k].Domain(absl::MakeConstSpan(choices).subspan(1))) {
        ++visited;
        if (!Lists(pins, knobs[k].name, ValueOf(knobs[k], option))) continue;
        choices[k + 1] = option;
        extend(k + 1);
      }
    };
    extend(0);
    if (visited > kMost) return std::nullopt;
  }
  return found;
}

TEST_CASE("a pinned space has the configs that keep to the pins, each once", "[space]") {
  int compared = 0, stand_ins = 0;  // configs that have not the listed order, but its program
  for (const te::OpSpec& spec :
       {te::OpSpec{"m", "matmul", {{"m", "4"}, {"n", "32"}, {"k", "6"}}},
        te::OpSpec{"s", "softmax", {{"m", "4"}, {"n", "48"}}},
        te::OpSpec{"d", "depthwise_conv2d", {{"c", "8"}, {"size", "6"}, {"k", "3"}, {"pad", "1"}}},
        te::OpSpec{"c", "conv2d", {{"ic", "4"}, {"oc", "8"}, {"size", "5"}, {"k", "3"}}}}) {
    for (const int threads : {1, 2}) {
      const ConfigSpace whole = SpaceOf(spec, threads);
      for (uint64_t seed = 0; seed < 12; ++seed) {
        Rng rng(seed);
        const std::string pins = RandomPins(whole, 0.75, rng);
        CAPTURE(spec.name, threads, seed, pins);
        const Json listed = Json::parse(pins);
        const auto expected = BruteForce(whole, listed);
        if (!expected) continue;
        const auto pinned = Pin(whole, pins);
        INFO(pinned.status());
        REQUIRE(pinned.ok());
        std::set<Config> all;
        for (auto config = pinned->Next({}); config; config = pinned->Next(*config)) {
          REQUIRE(all.insert(*config).second);
        }
        CHECK(all == *expected);
        const SpaceSize size = pinned->Size();
        CHECK(size.exact);
        CHECK(size.configs == static_cast<double>(expected->size()));
        ++compared;
        for (int i = 0; i < 100; ++i) {
          const Config of_whole = whole.Sample(rng);
          REQUIRE(pinned->Validate(of_whole).ok() == expected->contains(of_whole));
          REQUIRE(KeepsTo(whole, listed, of_whole) == expected->contains(of_whole));
          const Config sample = pinned->Sample(rng), other = pinned->Sample(rng);
          REQUIRE(expected->contains(sample));
          REQUIRE(expected->contains(pinned->Mutate(sample, rng)));
          REQUIRE(expected->contains(pinned->Jump(sample, rng)));
          const absl::StatusOr<Config> nearest = pinned->NearestTo(whole.ToJson(of_whole));
          if (nearest.ok()) REQUIRE(expected->contains(*nearest));
          REQUIRE(expected->contains(pinned->Crossover(sample, other, rng)));
          REQUIRE(*pinned->FromJson(pinned->ToJson(sample)) == sample);
        }
        for (const Config& config : all) {
          REQUIRE(whole.Validate(config).ok());
          REQUIRE(pinned->Validate(config).ok());
          const Json json = Json::parse(whole.ToJson(config));
          for (const auto& [name, value] : json.items()) stand_ins += !Lists(listed, name, value);
        }
        const Config sample = pinned->Sample(rng);
        for (const Config& neighbour : pinned->Neighbours(sample)) {
          REQUIRE(expected->contains(neighbour));
          REQUIRE(neighbour != sample);
        }
      }
    }
  }
  CHECK(compared > 40);
  CHECK(stand_ins > 0);
}

TEST_CASE("pins of layouts and orders leave tiles free, and configs what they are", "[space]") {
  const ConfigSpace whole = SpaceOf(Convolution(), 2);
  const std::string pins =
      R"({"sketch":["direct"],"tile.lanes":[16],"block.X":[16],"order.outer":[[0,1,2]],)"
      R"("order.middle":[[0,1,2]]})";
  const auto pinned = Pin(whole, pins);
  INFO(pinned.status());
  REQUIRE(pinned.ok());
  const uint64_t seed = 5;
  CAPTURE(seed);
  Rng rng(seed);
  std::set<int> tiles;
  std::set<Config> moved;
  for (int i = 0; i < 300; ++i) {
    const Config config = pinned->Sample(rng);
    const Json json = Json::parse(pinned->ToJson(config));
    CHECK(json["sketch"] == "direct");
    CHECK(json["tile"]["lanes"] == 16);
    CHECK(json["block.X"] == 16);
    CHECK(whole.ToJson(config) == pinned->ToJson(config));
    CHECK(*whole.FromJson(pinned->ToJson(config)) == config);
    CHECK(schedule::Print(*whole.ToTrace(config)) == schedule::Print(*pinned->ToTrace(config)));
    tiles.insert(config[1]);
    moved.insert(pinned->Mutate(config, rng));
  }
  CHECK(tiles.size() > 30);
  CHECK(moved.size() > 200);

  // Of configs of other sketches or options none is in it.
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    const Config config = whole.Sample(rng);
    const absl::Status status = pinned->Validate(config);
    if (status.ok()) continue;
    CHECK(status.message() == "config: pins rule it out");
    ++refused;
  }
  CHECK(refused > 150);
}

TEST_CASE("pins of pins leave less", "[space]") {
  const ConfigSpace whole = SpaceOf({"m", "matmul", {{"m", "4"}, {"n", "32"}, {"k", "6"}}});
  const ConfigSpace once = *Pin(whole, R"({"tile.lanes":[16]})");
  const ConfigSpace twice = *Pin(once, R"({"tile.lanes":[16],"order.tile":[0]})");
  CHECK(twice.Size().configs < once.Size().configs);
  CHECK(once.Size().configs <= whole.Size().configs);
  CHECK(twice.Size().configs ==
        Pin(whole, R"({"tile.lanes":[16],"order.tile":[0]})")->Size().configs);
  CHECK_FALSE(Pin(whole, "")->is_pinned());
  CHECK(Pin(whole, "{}")->Size().configs == whole.Size().configs);
}

TEST_CASE("pins that can't be are refused with what there is", "[space]") {
  const ConfigSpace space = SpaceOf(Convolution());
  const auto refusal = [&](std::string_view pins) {
    const absl::Status status = Pin(space, pins).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  const std::string form = R"(pins: expected a JSON object such as {"sketch":["direct"],)";
  CHECK(refusal("[]").find(form) == 0);
  CHECK(refusal("]").find(form) == 0);
  CHECK(refusal(std::string(100'000, '[')).find(form) == 0);
  CHECK(
      refusal(R"({"sketch":["magic"]})").find(R"(pins: no sketch "magic"; there are chunked, )") ==
      0);
  CHECK(refusal(R"({"sketch":"direct"})") ==
        R"(pins: sketch is "direct"; expected a list of what it may be)");
  CHECK(refusal(R"({"tile.lanes":[]})") ==
        "pins: tile.lanes is []; expected a list of what it may be");
  CHECK(refusal(R"({"tile.lanes":["x"]})") ==
        R"(pins: tile.lanes may be "x"; expected a whole number)");
  CHECK(refusal(R"({"block.X":[{"a":1}]})") ==
        R"(pins: knob block.X is {"a":1}, which has not its form)");
  CHECK(refusal(R"({"block.X":[16,5]})").find("pins: block.X is never 5; it may be 1, ") == 0);
  CHECK(refusal(R"({"lanes":[16]})").find("pins: no knob lanes; there are block.X, ") == 0);
  CHECK(refusal(R"({"configs":[{}]})") == "pins: configs name programs, no part of a space");
  // Vectors along channels need blocks of theirs.
  CHECK(refusal(R"({"tile.vector":[1],"tile.lanes":[16],"block.relu":[1]})") ==
        "pins: no config keeps to all of them; list more options");
}

TEST_CASE("a pinned space is described with what is open", "[space]") {
  const std::string text =
      DescribeSpace(*Pin(SpaceOf(Convolution()), R"({"sketch":["direct"],"block.X":[16]})"));
  CHECK(text.find("sketch chunked: closed by pins") != std::string::npos);
  CHECK(text.find("block.X          {channels}: 1 of ") != std::string::npos);
}

}  // namespace
}  // namespace tessera::space
