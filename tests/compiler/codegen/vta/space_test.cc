#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "base/rng.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/support/reference_check.h"
#include "tests/support/run_vta.h"

namespace tessera::codegen::vta {
namespace {

using Attributes = std::map<std::string, std::string>;

struct Case {
  std::string op;
  Attributes attributes;
  std::string target = "vta";
};

te::Workload Make(const Case& one) {
  Attributes attributes = one.attributes;
  attributes.insert({"dtype", "i8"});
  if (one.op != "add" && one.op != "max_pool2d") attributes.insert({"shift", "5"});
  return te::MakeWorkload({"w", one.op, attributes}).value();
}

const Case kCases[] = {
    {"conv2d",
     {{"ic", "32"},
      {"oc", "64"},
      {"h", "12"},
      {"w", "8"},
      {"k", "3"},
      {"pad", "1"},
      {"bias", "true"},
      {"relu", "true"},
      {"layout", "any"}}},
    {"conv2d",
     {{"ic", "64"},
      {"oc", "32"},
      {"size", "9"},
      {"k", "3"},
      {"pad", "1"},
      {"stride", "2"},
      {"layout", "any"}},
     "vta inp=4096 wgt=32768 acc=8192 uop=1024"},
    {"conv2d",
     {{"ic", "64"}, {"oc", "128"}, {"size", "8"}, {"k", "1"}, {"bias", "true"}, {"layout", "any"}},
     "vta pipeline=12"},
    {"conv2d",
     {{"n", "4"}, {"ic", "32"}, {"oc", "32"}, {"size", "6"}, {"k", "3"}, {"layout", "any"}},
     "vta block=8 inp=16384 wgt=65536 acc=65536"},
    {"dense", {{"m", "6"}, {"n", "256"}, {"k", "128"}, {"bias", "true"}}},
    {"conv2d",
     {{"ic", "32"},
      {"oc", "64"},
      {"h", "12"},
      {"w", "8"},
      {"k", "3"},
      {"pad", "1"},
      {"bias", "true"},
      {"add", "true"},
      {"relu", "true"},
      {"layout", "any"}}},
    {"conv2d",
     {{"n", "4"},
      {"ic", "32"},
      {"oc", "32"},
      {"size", "6"},
      {"k", "3"},
      {"pad", "1"},
      {"add", "true"},
      {"layout", "any"}},
     "vta batch=2 inp=8192 wgt=65536 acc=65536 uop=64"},
    {"depthwise_conv2d",
     {{"c", "48"},
      {"h", "9"},
      {"w", "8"},
      {"k", "3"},
      {"stride", "2"},
      {"pad", "1"},
      {"bias", "true"},
      {"relu", "true"},
      {"layout", "any"}}},
    {"depthwise_conv2d",
     {{"n", "2"}, {"c", "16"}, {"size", "10"}, {"k", "3"}, {"add", "true"}, {"layout", "any"}},
     "vta batch=2 block=8 inp=8192 wgt=4096 acc=16384 uop=256"},
    {"add", {{"m", "6"}, {"n", "512"}, {"relu", "true"}}},
    {"add", {{"m", "8"}, {"n", "96"}}, "vta uop=16 inp=4096 acc=16384"},
    {"max_pool2d",
     {{"c", "32"},
      {"h", "12"},
      {"w", "9"},
      {"k", "3"},
      {"stride", "2"},
      {"pad", "1"},
      {"layout", "any"}}},
    {"max_pool2d",
     {{"n", "2"}, {"c", "16"}, {"size", "12"}, {"k", "3"}, {"stride", "1"}, {"layout", "any"}},
     "vta batch=2 block=8 inp=4096 acc=65536 uop=256"},
    {"conv2d",
     {{"n", "4"},
      {"ic", "16"},
      {"oc", "24"},
      {"size", "8"},
      {"k", "3"},
      {"bias", "true"},
      {"relu", "true"},
      {"layout", "any"}},
     "vta batch=4 block=8 inp=8192 wgt=16384 acc=32768"},
    // Hardly any micro-ops.
    {"conv2d",
     {{"n", "3"},
      {"ic", "32"},
      {"oc", "32"},
      {"size", "9"},
      {"k", "1"},
      {"bias", "true"},
      {"layout", "any"}},
     "vta uop=16"},
};
constexpr int kCaseCount = static_cast<int>(std::size(kCases));

TEST_CASE("all configs of a space are programs that compute what the evaluator does",
          "[vta][space]") {
  constexpr int kSamples = 12;
  const uint64_t seed = GENERATE(range<uint64_t>(0, kCaseCount));
  const Case& one = kCases[seed];
  CAPTURE(seed, one.op, one.attributes, one.target);
  const te::Workload workload = Make(one);
  const ir::Target target = ir::ParseTarget(one.target).value();
  const auto space = space::BuildSpace(workload, target, 1);
  REQUIRE(space.status() == absl::OkStatus());
  const auto expected = te::ComputeExpected(workload, seed);
  REQUIRE(expected.ok());
  Rng rng(seed);
  for (int i = 0; i < kSamples; ++i) {
    const space::Config config = space->Sample(rng);
    INFO(space->ToJson(config));
    const auto schedule = space->ToSchedule(config);
    REQUIRE(schedule.status() == absl::OkStatus());
    const auto loops = schedule::InferBounds(*schedule);
    REQUIRE(loops.status() == absl::OkStatus());
    const auto kernels = Generate(*schedule, *loops, target);
    REQUIRE(kernels.status() == absl::OkStatus());
    const ir::Program shape{"vta", passes::MakeParameters(*schedule), ir::Stmt()};
    CHECK(
        te::CheckAgainst(workload, *expected, {shape},
                         [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) {
                           return RunVta(*kernels, buffers).status();
                         }) == absl::OkStatus());
  }
}

TEST_CASE("what becomes of configs of an accelerator's space is in it", "[vta][space]") {
  constexpr int kSteps = 300;
  for (const Case& one : kCases) {
    CAPTURE(one.op, one.attributes, one.target);
    const te::Workload workload = Make(one);
    const auto space = space::BuildSpace(workload, ir::ParseTarget(one.target).value(), 1);
    REQUIRE(space.status() == absl::OkStatus());
    // Distances are of logarithms.
    for (const space::Knob& knob : space->sketches()[0].group->knobs()) {
      for (const space::Option& option : knob.options) {
        REQUIRE(*std::ranges::min_element(option) >= 0);
      }
    }
    Rng rng(11);
    space::Config config = space->Sample(rng);
    for (int i = 0; i < kSteps; ++i) {
      CAPTURE(i, space->ToJson(config));
      const space::Config other = space->Sample(rng);
      config = i % 3 == 0   ? space->Mutate(config, rng)
               : i % 3 == 1 ? space->Jump(config, rng)
                            : space->Crossover(config, other, rng);
      REQUIRE(space->Validate(config) == absl::OkStatus());
      REQUIRE(space->FromJson(space->ToJson(config)).value() == config);
      const space::Config first = space->Neighbours(config).front();
      REQUIRE(space->Validate(first) == absl::OkStatus());
    }
  }
}

TEST_CASE("an accelerator's space has no more tiles than are told apart quickly", "[vta][space]") {
  constexpr size_t kMostTiles = 4096;
  const Case large = {
      "conv2d",
      {{"n", "8"}, {"ic", "512"}, {"oc", "480"}, {"size", "60"}, {"k", "1"}, {"layout", "any"}}};
  const ir::Target target = ir::ParseTarget(large.target).value();
  const te::Workload workload = Make(large);
  const auto space = space::BuildSpace(workload, target, 1);
  REQUIRE(space.status() == absl::OkStatus());
  CHECK(space->sketches()[0].group->knobs()[0].options.size() == kMostTiles);
  Rng rng(2);
  for (int i = 0; i < 20; ++i) {
    const schedule::Schedule schedule = space->ToSchedule(space->Sample(rng)).value();
    CHECK(Generate(schedule, schedule::InferBounds(schedule).value(), target).status() ==
          absl::OkStatus());
  }
}

TEST_CASE("configs of an accelerator's space are different programs", "[vta][space]") {
  constexpr int kSamples = 400;
  for (const Case& one : kCases) {
    CAPTURE(one.op, one.attributes, one.target);
    const te::Workload workload = Make(one);
    const auto space = space::BuildSpace(workload, ir::ParseTarget(one.target).value(), 1);
    REQUIRE(space.status() == absl::OkStatus());
    Rng rng(3);
    std::set<space::Config> configs;
    std::set<uint64_t> hashes;
    for (int i = 0; i < kSamples; ++i) {
      const space::Config config = space->Sample(rng);
      if (!configs.insert(config).second) continue;
      const schedule::Schedule schedule = space->ToSchedule(config).value();
      hashes.insert(schedule::LoopHash(schedule, schedule::InferBounds(schedule).value()));
    }
    CHECK(static_cast<double>(hashes.size()) >= 0.99 * static_cast<double>(configs.size()));
  }
}

}  // namespace
}  // namespace tessera::codegen::vta
