#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "compiler/schedule/loop_structure.h"
#include "schedule_space/config_space.h"
#include "tests/schedule_space/spaces.h"

namespace tessera::space {
namespace {

using Json = nlohmann::json;

te::OpSpec Convolution(int size, int channels) {
  return {"conv",
          "conv2d",
          {{"size", absl::StrCat(size)},
           {"ic", absl::StrCat(channels)},
           {"oc", absl::StrCat(channels)},
           {"k", "3"},
           {"pad", "1"},
           {"layout", "any"}}};
}

TEST_CASE("a config of a space is nearest to itself", "[space]") {
  std::vector<te::OpSpec> specs = te::TestWorkloads();
  specs.push_back(Convolution(28, 64));
  for (const te::OpSpec& spec : specs) {
    const ConfigSpace space = SpaceOf(spec, 2);
    const uint64_t seed = 3;
    CAPTURE(spec.name, seed);
    Rng rng(seed);
    for (int i = 0; i < 20; ++i) {
      const Config config = space.Sample(rng);
      CAPTURE(space.ToJson(config));
      CHECK(*space.NearestTo(space.ToJson(config)) == config);
    }
  }
}

TEST_CASE("configs of other sizes, targets and threads become valid ones of the same sketch",
          "[space]") {
  const ConfigSpace space = SpaceOf(Convolution(28, 128));
  for (const ConfigSpace& other :
       {SpaceOf(Convolution(56, 64)), SpaceOf(Convolution(7, 512)), SpaceOf(Convolution(13, 24)),
        SpaceOf(Convolution(28, 128), 1, "avx2"), SpaceOf(Convolution(28, 128), 2)}) {
    const uint64_t seed = 4;
    CAPTURE(seed);
    Rng rng(seed);
    int carried = 0;
    for (int i = 0; i < 200; ++i) {
      const Config config = other.Sample(rng);
      CAPTURE(other.ToJson(config));
      const auto nearest = space.NearestTo(other.ToJson(config));
      if (!nearest.ok()) {
        CHECK(nearest.status().code() == absl::StatusCode::kNotFound);
        continue;
      }
      ++carried;
      REQUIRE(space.Validate(*nearest).ok());
      CHECK(space.sketches()[nearest->front()].name == other.sketches()[config[0]].name);
      const auto schedule = space.ToSchedule(*nearest);
      REQUIRE(schedule.ok());
      CHECK(schedule::InferBounds(*schedule).ok());
    }
    CHECK(carried > 100);
  }
}

TEST_CASE("tiles keep their factors where another size allows them", "[space]") {
  const ConfigSpace from = SpaceOf(Convolution(56, 64)), to = SpaceOf(Convolution(28, 64));
  const uint64_t seed = 5;
  CAPTURE(seed);
  Rng rng(seed);
  int tiles = 0, lanes = 0, outputs = 0;
  for (int i = 0; i < 300; ++i) {
    const Config config = from.Sample(rng);
    const Json before = Json::parse(from.ToJson(config));
    const auto nearest = to.NearestTo(from.ToJson(config));
    if (!nearest.ok() || !before.contains("tile")) continue;
    const Json after = Json::parse(to.ToJson(*nearest));
    if (!after.contains("tile") || !before["tile"].contains("oc")) continue;
    ++tiles;
    lanes += before["tile"]["lanes"] == after["tile"]["lanes"];
    outputs += before["tile"]["oc"] == after["tile"]["oc"];
  }
  CAPTURE(tiles, lanes, outputs);
  REQUIRE(tiles > 100);
  CHECK(lanes > tiles * 9 / 10);
  CHECK(outputs > tiles * 8 / 10);
}

TEST_CASE("a config of another kind of workload is refused, or has a part of one", "[space]") {
  const ConfigSpace space = SpaceOf(Convolution(28, 64));
  CHECK(space.NearestTo(R"({"sketch":"no such"})").status().code() == absl::StatusCode::kNotFound);
  CHECK(space.NearestTo(R"({"sketch":"direct"})").status().code() == absl::StatusCode::kNotFound);
  for (const char* text : {"", "[]", "{}", "{\"sketch\":1}", "{\"sketch\":\"direct\""}) {
    CHECK(space.NearestTo(text).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("whatever values a config has, what comes of it is valid or refused", "[space]") {
  const ConfigSpace space = SpaceOf(Convolution(28, 64), 2);
  const std::vector<Json> values = {nullptr,
                                    true,
                                    -1,
                                    0,
                                    1,
                                    7,
                                    1e300,
                                    1.5,
                                    INT64_MAX,
                                    INT64_MIN,
                                    UINT64_MAX,
                                    "text",
                                    Json::array({0, 0, 0}),
                                    Json::array({2, 1, 0}),
                                    Json::array({1, 0}),
                                    Json::array({-1, 5, 9}),
                                    Json::array({"a"}),
                                    Json::object(),
                                    Json::object({{"oc", -3}, {"lanes", 1000000}}),
                                    Json::object({{"oc", "x"}})};
  const uint64_t seed = 6;
  CAPTURE(seed);
  Rng rng(seed);
  int valid = 0;
  for (int i = 0; i < 2000; ++i) {
    Json json = Json::parse(space.ToJson(space.Sample(rng)));
    for (auto& [name, value] : json.items()) {
      if (name == "sketch" || !rng.Chance(0.3)) continue;
      if (value.is_object() && rng.Chance(0.5)) {
        for (auto& [part, number] : value.items()) {
          if (rng.Chance(0.5)) number = values[rng.Below(values.size())];
        }
      } else {
        value = values[rng.Below(values.size())];
      }
    }
    CAPTURE(json.dump());
    const auto nearest = space.NearestTo(json.dump());
    if (!nearest.ok()) continue;
    ++valid;
    REQUIRE(space.Validate(*nearest).ok());
  }
  CHECK(valid > 500);
}

}  // namespace
}  // namespace tessera::space
