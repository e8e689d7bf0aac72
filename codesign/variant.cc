#include "codesign/variant.h"

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::codesign {
namespace {

// A row's latency is 32 cycles of 100 MHz (docs/vta-timing.md): 21 of them at the port, a time of
// DRAM and interconnect that no clock of the design shortens, 11 of the design itself.
constexpr int64_t kOwnLatency = 11;
constexpr double kPortNanoseconds = 210;
// Of a turn: one cycle to enter the loop and one to leave it; the pipeline drains in between.
constexpr int64_t kTurnOverhead = 2;

}  // namespace

Variant DefaultVariant(const Device& device) {
  // Source: apache/tvm-vta, config/pkg_config.py (clock, period, bus); the least stages that are
  // synthesised for the period.
  if (device.name == "ZU3EG") return {.bus_bits = 128, .stages = 17, .megahertz = 333};
  return {};
}

Clock ClockOf(const Variant& variant) {
  return {static_cast<double>(variant.megahertz), SynthesisPeriod(variant.stages)};
}

Widths WidthsOf(const Variant& variant) { return {variant.log_alu_narrowing, variant.bus_bits}; }

Resources ResourcesOf(const Variant& variant, const Device& device) {
  return ResourcesOf(variant.config, device, WidthsOf(variant));
}

vta::Timing TimingOf(const Variant& variant) {
  vta::Timing timing;
  timing.bus_bytes = variant.bus_bits / 8;
  timing.row_latency =
      kOwnLatency + static_cast<int64_t>(std::ceil(kPortNanoseconds *
                                                   static_cast<double>(variant.megahertz) / 1000));
  timing.gemm_depth = timing.alu_depth = variant.stages;
  timing.turn_cycles = kTurnOverhead + variant.stages;
  // The parts of a tile one after the other.
  timing.alu_interval <<= variant.log_alu_narrowing;
  timing.alu_immediate_interval <<= variant.log_alu_narrowing;
  return timing;
}

ir::Target TargetOf(const Variant& variant) {
  const vta::Config& config = variant.config;
  ir::Target target = ir::ParseTarget("vta").value();
  target.tile_rows = config.batch();
  target.tile_block = config.block();
  target.uop_bytes = int64_t{1} << config.log_uop_bytes;
  target.inp_bytes = int64_t{1} << config.log_inp_bytes;
  target.wgt_bytes = int64_t{1} << config.log_wgt_bytes;
  target.acc_bytes = int64_t{1} << config.log_acc_bytes;
  target.pipeline_steps = static_cast<int>(variant.stages);
  return target;
}

std::string ToString(const Variant& variant) {
  const vta::Config& config = variant.config;
  return absl::StrCat(config.batch(), "x", config.block(), " uop", config.log_uop_bytes, " inp",
                      config.log_inp_bytes, " wgt", config.log_wgt_bytes, " acc",
                      config.log_acc_bytes, " alu/", 1 << variant.log_alu_narrowing, " bus",
                      variant.bus_bits, " st", variant.stages, " ", variant.megahertz, "MHz");
}

std::string ToWorkerConfig(const Variant& variant) {
  nlohmann::ordered_json document = nlohmann::ordered_json::parse(vta::Print(variant.config));
  const vta::Timing timing = TimingOf(variant);
  document["CLOCK_MHZ"] = variant.megahertz;
  document["BUS_BYTES"] = timing.bus_bytes;
  document["ROW_LATENCY"] = timing.row_latency;
  document["GEMM_DEPTH"] = timing.gemm_depth;
  document["ALU_DEPTH"] = timing.alu_depth;
  document["TURN_CYCLES"] = timing.turn_cycles;
  document["ALU_INTERVAL"] = timing.alu_interval;
  document["ALU_IMMEDIATE_INTERVAL"] = timing.alu_immediate_interval;
  return document.dump();
}

double Distance(const Variant& a, const Variant& b) {
  constexpr int vta::Config::* kInFull[] = {
      &vta::Config::log_batch,     &vta::Config::log_block,     &vta::Config::log_uop_bytes,
      &vta::Config::log_inp_bytes, &vta::Config::log_wgt_bytes, &vta::Config::log_acc_bytes};
  double doublings = 0;
  for (int vta::Config::* member : kInFull) {
    doublings += std::abs(a.config.*member - b.config.*member);
  }
  const auto ratio = [](int64_t x, int64_t y) {
    return std::abs(std::log2(static_cast<double>(x) / static_cast<double>(y)));
  };
  return doublings + 0.5 * (std::abs(a.log_alu_narrowing - b.log_alu_narrowing) +
                            ratio(a.bus_bits, b.bus_bits) + ratio(a.stages, b.stages) +
                            ratio(a.megahertz, b.megahertz));
}

}  // namespace tessera::codesign
