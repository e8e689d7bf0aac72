#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

// Variants of the accelerator: tiles from 8 to 32 wide, large and small memories, long pipelines.
// Tiles of several rows have no operator whose tensors can be stored so.
constexpr const char* kConfigurations[] = {
    "vta",
    "vta pipeline=12",
    "vta inp=4096 wgt=32768 acc=8192 uop=1024",
    "vta inp=65536 wgt=131072",
    "vta block=8 inp=16384 wgt=65536 acc=65536",
    "vta block=8 inp=2048 wgt=8192 acc=4096 uop=512",
    "vta block=32",
    "vta block=32 inp=16384 wgt=65536 acc=16384 uop=2048",
    "vta block=32 inp=65536 wgt=262144 acc=65536",
    "vta inp=16384 wgt=131072 acc=65536 uop=8192 pipeline=6",
};
constexpr int kPrograms = 1000;
constexpr int kOfConfiguration = kPrograms / static_cast<int>(std::size(kConfigurations));
constexpr int kOfWorkload = 10;
constexpr uint64_t kSeed = 20;

// A convolution or a product of matrices that is small enough for the evaluator.
te::OpSpec DrawOperator(const ir::Target& target, Rng& rng) {
  constexpr int64_t kMostProducts = 150'000;
  const int64_t block = target.tile_block;
  const auto blocks = [&](int64_t most) { return rng.Between(1, most) * block; };
  for (;;) {
    Attributes attributes = {{"dtype", "i8"}};
    const auto set = [&](const char* name, int64_t value) {
      attributes[name] = absl::StrCat(value);
    };
    set("shift", rng.Between(1, 9));
    for (const char* flag : {"bias", "relu"}) {
      if (rng.Chance(0.5)) attributes[flag] = "true";
    }
    if (rng.Chance(0.2)) {
      const int64_t rows = rng.Between(1, 8), results = blocks(6), terms = blocks(6);
      set("m", rows);
      set("n", results);
      set("k", terms);
      if (rows * results * terms <= kMostProducts) return {"w", "dense", attributes};
      continue;
    }
    const int64_t n = rng.Between(1, 2), ic = blocks(4), oc = blocks(4);
    const int64_t kh = rng.Between(1, 4), kw = rng.Between(1, 4), stride = rng.Between(1, 3);
    const int64_t pad = rng.Between(0, std::min(kh, kw) / 2);
    const int64_t h = rng.Between(kh, 12), w = rng.Between(kw, 12);
    set("n", n);
    set("ic", ic);
    set("oc", oc);
    set("kh", kh);
    set("kw", kw);
    set("stride", stride);
    set("pad", pad);
    set("h", h);
    set("w", w);
    attributes["layout"] = "any";
    const int64_t results =
        n * oc * ((h + 2 * pad - kh) / stride + 1) * ((w + 2 * pad - kw) / stride + 1);
    if (results * ic * kh * kw <= kMostProducts) return {"w", "conv2d", attributes};
  }
}

// Different programs of the workload, of which up to kOfWorkload compute what the evaluator does;
// returns how many. 0: it has no space for this target.
int CheckPrograms(const te::Workload& workload, const ir::Target& target, int most, Rng& rng) {
  const auto space = space::BuildSpace(workload, target, 1);
  if (absl::IsResourceExhausted(space.status())) return 0;
  REQUIRE(space.status() == absl::OkStatus());
  const auto expected = te::ComputeExpected(workload, rng.Next());
  REQUIRE(expected.ok());
  constexpr int kDraws = 4 * kOfWorkload;  // small spaces have few programs
  std::set<space::Config> seen;
  int checked = 0;
  for (int draw = 0; draw < kDraws && checked < most; ++draw) {
    const space::Config config = space->Sample(rng);
    if (!seen.insert(config).second) continue;
    INFO(space->ToJson(config));
    const auto schedule = space->ToSchedule(config);
    REQUIRE(schedule.status() == absl::OkStatus());
    const auto loops = schedule::InferBounds(*schedule);
    REQUIRE(loops.status() == absl::OkStatus());
    const auto kernels = Generate(*schedule, *loops, target);
    REQUIRE(kernels.status() == absl::OkStatus());
    const ir::Program shape{"vta", passes::MakeParameters(*schedule), ir::Stmt()};
    REQUIRE(
        te::CheckAgainst(workload, *expected, {shape},
                         [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) {
                           return RunVta(*kernels, buffers).status();
                         }) == absl::OkStatus());
    ++checked;
  }
  return checked;
}

TEST_CASE(
    "a thousand random programs on ten variants of the accelerator compute what the evaluator does",
    "[vta][space]") {
  int programs = 0, workloads = 0, without_space = 0;
  for (const char* configuration : kConfigurations) {
    const ir::Target target = ir::ParseTarget(configuration).value();
    Rng rng = Rng(kSeed).Fork(configuration);
    for (int checked = 0; checked < kOfConfiguration;) {
      const te::OpSpec spec = DrawOperator(target, rng);
      CAPTURE(kSeed, configuration, spec.op,
              absl::StrJoin(spec.attributes, " ", absl::PairFormatter("=")));
      const auto workload = te::MakeWorkload(spec);
      REQUIRE(workload.status() == absl::OkStatus());
      const int most = std::min(kOfWorkload, kOfConfiguration - checked);
      const int found = CheckPrograms(*workload, target, most, rng);
      checked += found;
      programs += found;
      ++(found > 0 ? workloads : without_space);
      REQUIRE(without_space < kPrograms);
    }
  }
  std::printf(
      "%d programs of %d workloads agree with the evaluator (seed %d); no tile of %d others "
      "fits\n",
      programs, workloads, static_cast<int>(kSeed), without_space);
  CHECK(programs == kPrograms);
}

}  // namespace
}  // namespace tessera::codegen::vta
