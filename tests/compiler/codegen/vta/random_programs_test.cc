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
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/trace.h"
#include "compiler/te/operators.h"
#include "schedule_space/config_space.h"
#include "tests/support/reference_check.h"
#include "tests/support/run_vta.h"

namespace tessera::codegen::vta {
namespace {

using Attributes = std::map<std::string, std::string>;

// Variants of the accelerator: tiles from 2 to 32 wide, of one row and of several, large and small
// memories, long pipelines, hardly any micro-ops.
constexpr const char* kConfigurations[] = {
    "vta",
    "vta pipeline=12",
    "vta uop=16",
    "vta inp=4096 wgt=32768 acc=8192 uop=1024",
    "vta inp=16384 wgt=131072 acc=65536 uop=8192 pipeline=6",
    "vta block=8 inp=2048 wgt=8192 acc=4096 uop=512",
    "vta block=32 inp=16384 wgt=65536 acc=16384 uop=2048",
    "vta batch=2 inp=8192 wgt=65536 acc=65536 uop=64",
    "vta batch=4 block=8 inp=8192 wgt=16384 acc=32768",
    "vta batch=2 block=2 inp=512 wgt=512 acc=4096 uop=64",
};
constexpr int kPrograms = 1000;
constexpr int kOfConfiguration = kPrograms / static_cast<int>(std::size(kConfigurations));
constexpr int kOfWorkload = 10;
constexpr uint64_t kSeed = 20;

// Draws operators of the accelerator that are small enough for the evaluator.
class Drawer {
 public:
  Drawer(const ir::Target& target, Rng& rng) : target_(target), rng_(rng) {}

  te::OpSpec Draw() {
    constexpr int64_t kMostProducts = 150'000;
    for (;;) {
      attributes_ = {{"dtype", "i8"}};
      products_ = 1;
      const std::string op = DrawOperator();
      if (products_ <= kMostProducts) return {"w", op, attributes_};
    }
  }

 private:
  void Set(const char* name, int64_t value) { attributes_[name] = absl::StrCat(value); }
  void Flag(const char* name) {
    if (rng_.Chance(0.5)) attributes_[name] = "true";
  }
  // As so many whole tiles.
  int64_t Blocks(const char* name, int64_t most) { return Of(name, target_.tile_block, most); }
  int64_t Rows(const char* name, int64_t most) { return Of(name, target_.tile_rows, most); }
  int64_t Of(const char* name, int64_t unit, int64_t most) {
    const int64_t extent = rng_.Between(1, most) * unit;
    Set(name, extent);
    products_ *= extent;
    return extent;
  }

  std::string DrawOperator() {
    enum { kConv, kDepthwise, kPool, kAdd, kDense };
    // The layouts of matrices have no tiles of several rows.
    const int64_t last = target_.tile_rows == 1 ? kDense : kPool;
    switch (rng_.Between(0, last)) {
      case kConv:
        Rows("n", 2);
        Blocks("ic", 3);
        Blocks("oc", 3);
        Window();
        Epilogue();
        return "conv2d";
      case kDepthwise:
        Rows("n", 2);
        Blocks("c", 3);
        if (rng_.Chance(0.3)) Set("dilation", 2);
        Window();
        Epilogue();
        return "depthwise_conv2d";
      case kPool:
        Rows("n", 2);
        Blocks("c", 3);
        Window();
        return "max_pool2d";
      case kAdd:
        Rows("m", 9);
        Blocks("n", 20);
        Flag("relu");
        return "add";
      default:
        Set("m", rng_.Between(1, 8));
        Blocks("n", 6);
        Blocks("k", 6);
        Set("shift", rng_.Between(1, 9));
        Flag("bias");
        Flag("relu");
        return "dense";
    }
  }

  void Window() {
    const int64_t kh = rng_.Between(1, 4), kw = rng_.Between(1, 4), stride = rng_.Between(1, 3);
    const int64_t pad = rng_.Between(0, std::min(kh, kw) / 2);
    const int64_t reach = attributes_.contains("dilation") ? 2 : 1;
    const int64_t h = rng_.Between(kh * reach, 12), w = rng_.Between(kw * reach, 12);
    Set("kh", kh);
    Set("kw", kw);
    Set("stride", stride);
    Set("pad", pad);
    Set("h", h);
    Set("w", w);
    attributes_["layout"] = "any";
    products_ *= kh * kw * ((h + 2 * pad) / stride + 1) * ((w + 2 * pad) / stride + 1);
  }

  void Epilogue() {
    Set("shift", rng_.Between(1, 9));
    for (const char* flag : {"bias", "add", "relu"}) Flag(flag);
  }

  const ir::Target& target_;
  Rng& rng_;
  Attributes attributes_;
  int64_t products_ = 1;
};

// That a schedule's program computes what the evaluator does.
void CheckProgram(const te::Workload& workload, const te::Expected& expected,
                  const schedule::Schedule& schedule, const ir::Target& target) {
  const auto loops = schedule::InferBounds(schedule);
  REQUIRE(loops.status() == absl::OkStatus());
  const auto kernels = Generate(schedule, *loops, target);
  REQUIRE(kernels.status() == absl::OkStatus());
  const ir::Program shape{"vta", passes::MakeParameters(schedule), ir::Stmt()};
  REQUIRE(
      te::CheckAgainst(workload, expected, {shape},
                       [&](const ir::Program&, absl::Span<const absl::Span<std::byte>> buffers) {
                         return RunVta(*kernels, buffers).status();
                       }) == absl::OkStatus());
}

// The default program of a workload that has a space for the target, and up to `most` different
// ones of this, of which it returns how many. 0: it has none.
int CheckPrograms(const te::Workload& workload, const ir::Target& target, int most, Rng& rng) {
  const auto space = space::BuildSpace(workload, target, 1);
  if (absl::IsResourceExhausted(space.status())) return 0;
  REQUIRE(space.status() == absl::OkStatus());
  const auto expected = te::ComputeExpected(workload, rng.Next());
  REQUIRE(expected.ok());
  const auto trace = schedule::DefaultTrace(workload.dag, target);
  REQUIRE(trace.status() == absl::OkStatus());
  CheckProgram(workload, *expected, schedule::ApplyTrace(workload.dag, *trace).value(), target);
  constexpr int kDraws = 4 * kOfWorkload;  // small spaces have few programs
  std::set<space::Config> seen;
  int checked = 0;
  for (int draw = 0; draw < kDraws && checked < most; ++draw) {
    const space::Config config = space->Sample(rng);
    if (!seen.insert(config).second) continue;
    INFO(space->ToJson(config));
    const auto schedule = space->ToSchedule(config);
    REQUIRE(schedule.status() == absl::OkStatus());
    CheckProgram(workload, *expected, *schedule, target);
    ++checked;
  }
  return checked;
}

TEST_CASE(
    "a thousand random programs on ten variants of the accelerator, and the default ones of what "
    "they are of, compute what the evaluator does",
    "[vta][space]") {
  int programs = 0, workloads = 0, without_space = 0;
  for (const char* configuration : kConfigurations) {
    const ir::Target target = ir::ParseTarget(configuration).value();
    Rng rng = Rng(kSeed).Fork(configuration);
    Drawer drawer(target, rng);
    for (int checked = 0; checked < kOfConfiguration;) {
      const te::OpSpec spec = drawer.Draw();
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
