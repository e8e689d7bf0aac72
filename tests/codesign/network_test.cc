#include "codesign/network.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/rng.h"
#include "codesign/estimate.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "costmodel/vta_cycles.h"
#include "tests/codesign/networks.h"
#include "tests/support/run_vta.h"

namespace tessera::codesign {
namespace {

const Variant kVariants[] = {
    {},
    {.config = {.log_block = 3, .log_inp_bytes = 13, .log_wgt_bytes = 15, .log_acc_bytes = 14},
     .log_alu_narrowing = 1,
     .bus_bits = 32,
     .stages = 9,
     .megahertz = 200},
    {.config = {.log_block = 5, .log_wgt_bytes = 17},
     .bus_bits = 128,
     .stages = 11,
     .megahertz = 250}};

TEST_CASE("a simulated config did what its program's instructions say", "[codesign]") {
  const Network network = SmallNetwork();
  for (const Variant& variant : kVariants) {
    for (const Layer& layer : network.layers) {
      const ir::Target target = TargetOf(variant);
      const LayerSpace space = MakeLayerSpace(layer, target).value();
      Rng rng(3);
      for (int i = 0; i < 10; ++i) {
        const space::Config config = space.configs->Sample(rng);
        CAPTURE(ToString(variant), layer.workload.name, space.configs->ToJson(config));
        const auto activity = SimulateConfig(*space.configs, config, TimingOf(variant));
        REQUIRE(activity.status() == absl::OkStatus());

        // The same by other means, on values that are not zeros.
        const schedule::Schedule schedule = space.configs->ToSchedule(config).value();
        const schedule::LoopStructure loops = schedule::InferBounds(schedule).value();
        const auto kernels = codegen::vta::Generate(schedule, loops, target).value();
        std::vector<std::vector<std::byte>> storage;
        for (const ir::Buffer& buffer : passes::MakeParameters(schedule)) {
          storage.emplace_back(static_cast<size_t>(buffer->StoredBytes()), std::byte{3});
        }
        std::vector<absl::Span<std::byte>> spans;
        for (auto& bytes : storage) spans.push_back(absl::MakeSpan(bytes));
        const VtaRun run = RunVta(kernels, spans, TimingOf(variant)).value();
        REQUIRE(run.reports.size() == 1);
        CHECK(activity->cycles == static_cast<double>(run.reports[0].cycles));
        CHECK(activity->products + activity->resets ==
              static_cast<double>(run.reports[0].gemm_steps));
        CHECK(activity->operations == static_cast<double>(run.reports[0].alu_steps));

        const costmodel::VtaProfile profile = costmodel::WithTiming(
            costmodel::VtaProfiler(target).Profile(schedule, loops), TimingOf(variant));
        const Activity estimated = EstimatedActivity(profile, variant.config);
        CHECK(estimated.products == activity->products);
        CHECK(estimated.resets == activity->resets);
        CHECK(estimated.operations == activity->operations);
        CHECK(estimated.dram_bytes == Approx(activity->dram_bytes).epsilon(0.1));
        for (const auto memory : {vta::Memory::kInp, vta::Memory::kWgt, vta::Memory::kOut}) {
          const auto m = static_cast<size_t>(memory);
          CHECK(estimated.tiles_moved[m] == Approx(activity->tiles_moved[m]));
        }
        CHECK(Picojoules(estimated, variant.config) ==
              Approx(Picojoules(*activity, variant.config)).epsilon(0.1));
        CHECK(std::abs(std::log2(estimated.cycles / activity->cycles)) < 0.5);
      }
    }
  }
}

TEST_CASE("a profile by the times that it was counted by is itself", "[codesign]") {
  const LayerSpace space = MakeLayerSpace(SmallNetwork().layers[0], TargetOf({})).value();
  Rng rng(5);
  for (int i = 0; i < 20; ++i) {
    const schedule::Schedule schedule =
        space.configs->ToSchedule(space.configs->Sample(rng)).value();
    const costmodel::VtaProfile profile =
        costmodel::VtaProfiler(TargetOf({}))
            .Profile(schedule, schedule::InferBounds(schedule).value());
    CHECK(costmodel::WithTiming(profile, {}).cycles == Approx(profile.cycles));
    vta::Timing slow;
    slow.row_latency *= 4;
    CHECK(costmodel::WithTiming(profile, slow).cycles > profile.cycles);
  }
}

TEST_CASE("tiles that an operator can't be cut into are told with its name", "[codesign]") {
  CHECK(CheckServes(SmallNetwork(), vta::Config()) == absl::OkStatus());
  const absl::Status status = CheckServes(SmallNetwork(), {.log_block = 6, .log_wgt_bytes = 19});
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), Catch::StartsWith("a: "));
}

TEST_CASE("an operator whose tensors no address reaches is refused by its name", "[codesign]") {
  const auto dense = [](const char* n) {
    return MakeNetwork("large",
                       {{"fc",
                         "dense",
                         {{"m", "16"}, {"n", n}, {"k", "65536"}, {"dtype", "i8"}, {"shift", "5"}}}},
                       {1})
        .status();
  };
  CHECK(dense("65472") == absl::OkStatus());
  const absl::Status status = dense("65536");
  CHECK(absl::IsInvalidArgument(status));
  // 65,536 · 65,536 of weights, 16 · 65,536 each of inputs and of results, the page at 0.
  CHECK_THAT(std::string(status.message()), Catch::StartsWith("fc: ") &&
                                                Catch::Contains("4297068544 bytes") &&
                                                Catch::Contains("reaches 4294967296"));
}

TEST_CASE("estimates tell a wider bus and a faster clock apart", "[codesign]") {
  const Network network = SmallNetwork();
  const auto programs = EstimatedPrograms::Make(network, vta::Config(), 11, 1);
  REQUIRE(programs.status() == absl::OkStatus());
  const Variant base;
  Variant wide = base, deep = base;
  wide.bus_bits = 128;
  deep.stages = 11;
  CHECK(programs->Estimate(wide).cycles < programs->Estimate(base).cycles);
  CHECK(programs->Estimate(deep).cycles > programs->Estimate(base).cycles);
  CHECK(programs->Estimate(base) ==
        EstimatedPrograms::Make(network, vta::Config(), 11, 1)->Estimate(base));
  const auto none = EstimatedPrograms::Make(
      network, {.log_inp_bytes = 4, .log_wgt_bytes = 8, .log_acc_bytes = 6}, 4, 1);
  CHECK(absl::IsResourceExhausted(none.status()));
}

TEST_CASE("more of anything takes more energy, and larger memories do", "[codesign]") {
  Activity activity = {.products = 100, .resets = 4, .operations = 16, .second_reads = 4};
  activity.tiles_moved.fill(20);
  activity.dram_bytes = 5000;
  const double base = Picojoules(activity, vta::Config());
  // 1.3 nJ for 64 bits.
  Activity more = activity;
  more.dram_bytes += 8;
  CHECK(Picojoules(more, vta::Config()) - base == Approx(1300));
  for (double Activity::* count :
       {&Activity::products, &Activity::resets, &Activity::operations, &Activity::second_reads}) {
    more = activity;
    more.*count += 1;
    CHECK(Picojoules(more, vta::Config()) > base);
  }
  for (size_t memory = 0; memory < activity.tiles_moved.size(); ++memory) {
    more = activity;
    more.tiles_moved[memory] += 1;
    CHECK(Picojoules(more, vta::Config()) > base);
  }
  CHECK(Picojoules(activity, {.log_wgt_bytes = 19}) > base);
  CHECK(Picojoules(Activity(), vta::Config()) == 0);
}

}  // namespace
}  // namespace tessera::codesign
