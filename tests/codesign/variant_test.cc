#include "codesign/variant.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "codesign/variant_space.h"
#include "worker/runner/vta/setup.h"

namespace tessera::codesign {
namespace {

bool AreEqual(const vta::Timing& a, const vta::Timing& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;  // whole numbers alone, without gaps
}

TEST_CASE("the default variant has the published times and target", "[codesign]") {
  CHECK(AreEqual(TimingOf({}), vta::Timing()));
  CHECK(TargetOf({}) == ir::ParseTarget("vta").value());
  CHECK(DefaultVariant(FindDevice("XC7Z020").value()) == Variant());
}

TEST_CASE("defaults of devices fit them at their published clocks", "[codesign]") {
  for (const Device& device : Devices()) {
    const Variant variant = DefaultVariant(device);
    CHECK(CheckFits(variant.config, ClockOf(variant), device, WidthsOf(variant)) ==
          absl::OkStatus());
    CHECK(static_cast<double>(variant.megahertz) <= device.fastest_megahertz);
  }
}

TEST_CASE("DRAM is as far at any clock, pipelines and the ALU are the variant's", "[codesign]") {
  const vta::Timing fast =
      TimingOf({.log_alu_narrowing = 2, .bus_bits = 128, .stages = 9, .megahertz = 200});
  CHECK(fast.row_latency == 11 + 42);
  CHECK(fast.bus_bytes == 16);
  CHECK(fast.gemm_depth == 9);
  CHECK(fast.alu_depth == 9);
  CHECK(fast.turn_cycles == 11);
  CHECK(fast.alu_interval == 8);
  CHECK(fast.alu_immediate_interval == 8);
  for (int64_t megahertz = 50; megahertz < 333; ++megahertz) {
    const auto nanoseconds = [](int64_t at) {
      return 1000.0 * static_cast<double>(TimingOf({.megahertz = at}).row_latency) /
             static_cast<double>(at);
    };
    // Rounding up to a whole cycle aside.
    CHECK(nanoseconds(megahertz + 1) < nanoseconds(megahertz) + 1000.0 / megahertz);
  }
}

TEST_CASE("a worker's simulator is told the variant", "[codesign]") {
  const Variant variants[] = {{},
                              {.config = {.log_block = 5, .log_wgt_bytes = 17},
                               .log_alu_narrowing = 1,
                               .bus_bits = 32,
                               .stages = 11,
                               .megahertz = 250}};
  for (const Variant& variant : variants) {
    const absl::StatusOr<vta::Setup> setup = vta::ParseSetup(ToWorkerConfig(variant));
    REQUIRE(setup.status() == absl::OkStatus());
    CHECK(setup->config == variant.config);
    CHECK(AreEqual(setup->timing, TimingOf(variant)));
    CHECK(setup->clock_mhz == variant.megahertz);
    CHECK(vta::TargetText(*setup) == ir::ToString(TargetOf(variant)));
  }
}

TEST_CASE("variants are as far from each other as they differ", "[codesign]") {
  const Variant base;
  CHECK(Distance(base, base) == 0);
  const Variant wider = {.config = {.log_wgt_bytes = 20}};
  CHECK(Distance(base, wider) == 2);
  CHECK(Distance(wider, base) == 2);
  CHECK(Distance(base, {.bus_bits = 128}) == 0.5);
  CHECK(Distance(base, {.stages = 8, .megahertz = 200}) == 1);
}

}  // namespace
}  // namespace tessera::codesign
