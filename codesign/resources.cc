#include "codesign/resources.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::codesign {
namespace {

using vta::Memory;

constexpr Device kDevices[] = {{.name = "XC7Z020",
                                .dsps = 220,
                                .bram18s = 280,
                                .luts = 53'200,
                                .bus_bits = 64,
                                .fastest_megahertz = 200},
                               {.name = "ZU3EG",
                                .dsps = 360,
                                .bram18s = 432,
                                .luts = 70'560,
                                .bus_bits = 128,
                                .fastest_megahertz = 333}};

// Each figure is explained in docs/vta-resources.md.
constexpr int64_t kMaxBankBits = 1024;
constexpr int64_t kQueueBits = 128, kQueueEntries = 512, kQueues = 3, kTokenQueues = 4;
constexpr int64_t kBusWords = 16 * 16;  // that a bus master keeps: bursts under way × their words
constexpr int64_t kFifoBits = 36;       // of a block RAM that is 512 deep, with one port each way
constexpr int64_t kMultiplierLuts = 115;
constexpr int64_t kAluLaneLuts = 208;
constexpr int64_t kProductBits = 16, kAccumulatorBits = 32;
constexpr int64_t kUsableLutPercent = 70;
constexpr double kRoutedPerSynthesisPeriod = 10.0 / 7;
// Of a pipeline: what a register takes, and all that is computed from its first stage to its last.
constexpr double kRegisterNs = 0.4, kPathNs = 26.4;

int64_t CeilDiv(int64_t value, int64_t by) { return (value + by - 1) / by; }

// Of a product's sum: a tree of adders, one bit wider at each level, and the accumulator's adder.
int64_t SumLuts(const vta::Config& config) {
  int64_t luts = kAccumulatorBits;
  for (int level = 1; level <= config.log_block; ++level) {
    luts += (int64_t{config.block()} >> level) * (kProductBits + level);
  }
  return luts;
}

absl::Status Refuse(const Device& device, std::string_view what, int64_t value, int64_t limit) {
  return absl::InvalidArgumentError(absl::StrCat("VTA takes ", value, " ", AbslView(what), ", ",
                                                 AbslView(device.name), " has ", limit));
}

int64_t BusBits(const Device& device, const Widths& widths) {
  return widths.bus_bits > 0 ? widths.bus_bits : device.bus_bits;
}

int64_t UsableLuts(const Device& device) { return device.luts * kUsableLutPercent / 100; }

// A bus of whole bytes that the port has, and an ALU of one lane or more.
bool HasWidths(const vta::Config& config, const Device& device, const Widths& widths) {
  const int64_t bus = BusBits(device, widths);
  return bus >= 8 && bus % 8 == 0 && bus <= device.bus_bits && widths.log_alu_narrowing >= 0 &&
         widths.log_alu_narrowing <= config.log_batch + config.log_block;
}

// A millionth for periods such as 10 / 7 that have no exact double.
bool IsReached(const Clock& clock, const Device& device) {
  return clock.synthesis_period_ns > 0 && clock.megahertz > 0 &&
         clock.megahertz <= ReachableMegahertz(device, clock.synthesis_period_ns) * (1 + 1e-6);
}

}  // namespace

absl::Span<const Device> Devices() { return kDevices; }

absl::StatusOr<Device> FindDevice(std::string_view name) {
  std::string names;
  for (const Device& device : kDevices) {
    if (device.name == name) return device;
    absl::StrAppend(&names, names.empty() ? "" : ", ", AbslView(device.name));
  }
  return absl::NotFoundError(
      absl::StrCat("there is no device ", AbslView(name.substr(0, 40)), "; known are ", names));
}

int64_t Bram18s(int64_t width_bits, int64_t depth) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t width = 16, words = 1024; width >= 1; width /= 2, words *= 2) {
    least = std::min(least, CeilDiv(width_bits, width) * CeilDiv(depth, words));
  }
  return least;
}

int64_t MemoryBram18s(const vta::Config& config, Memory memory) {
  const int64_t bits = config.TileBytes(memory) * 8;
  const int64_t banks = CeilDiv(bits, kMaxBankBits);
  return banks * Bram18s(bits / banks, config.Depth(memory));
}

Resources ResourcesOf(const vta::Config& config, const Device& device, const Widths& widths) {
  const int64_t outputs = int64_t{config.batch()} * config.block();
  const int64_t bus_bits = BusBits(device, widths);
  Resources resources;
  resources.multipliers = outputs * config.block();
  resources.dsps = std::min(resources.multipliers, device.dsps);
  for (const Memory memory :
       {Memory::kUop, Memory::kWgt, Memory::kInp, Memory::kAcc, Memory::kOut}) {
    resources.memory_bram18s += MemoryBram18s(config, memory);
  }
  resources.bram18s = resources.memory_bram18s +
                      kQueues * CeilDiv(kQueueBits, kFifoBits) * CeilDiv(kQueueEntries, 512) +
                      kTokenQueues;
  // Instructions, micro-ops; inputs and weights, accumulators, results.
  for (const int64_t bits : {int64_t{128}, int64_t{32}, bus_bits, bus_bits, bus_bits}) {
    resources.bram18s += CeilDiv(bits, kFifoBits) * CeilDiv(kBusWords, 512);
  }
  resources.luts = (resources.multipliers - resources.dsps) * kMultiplierLuts +
                   outputs * SumLuts(config) + (outputs >> widths.log_alu_narrowing) * kAluLaneLuts;
  return resources;
}

double ReachableMegahertz(const Device& device, double synthesis_period_ns) {
  return std::min(device.fastest_megahertz,
                  1000 / (synthesis_period_ns * kRoutedPerSynthesisPeriod));
}

double SynthesisPeriod(int64_t stages) {
  TESSERA_CHECK(stages > 0);
  return kRegisterNs + kPathNs / static_cast<double>(stages);
}

Obstacle FindSizeObstacle(const vta::Config& config, const Device& device, const Widths& widths) {
  if (!vta::CheckEncodable(config).ok()) return Obstacle::kEncoding;
  if (!HasWidths(config, device, widths)) return Obstacle::kWidths;
  const Resources taken = ResourcesOf(config, device, widths);
  if (taken.bram18s > device.bram18s) return Obstacle::kBlockRams;
  return taken.luts > UsableLuts(device) ? Obstacle::kLuts : Obstacle::kNone;
}

Obstacle FindClockObstacle(const Clock& clock, const Device& device) {
  return IsReached(clock, device) ? Obstacle::kNone : Obstacle::kClock;
}

absl::Status CheckFits(const vta::Config& config, const Clock& clock, const Device& device,
                       const Widths& widths) {
  switch (FindSizeObstacle(config, device, widths)) {
    case Obstacle::kEncoding:
      return vta::CheckEncodable(config);
    case Obstacle::kWidths:
      return absl::InvalidArgumentError(absl::StrCat(
          "a bus of ", BusBits(device, widths), " bits and an ALU of 1/2^",
          widths.log_alu_narrowing, " of a tile; ", AbslView(device.name), " has a port of ",
          device.bus_bits, " bits, a tile ", config.batch() * config.block(), " results"));
    case Obstacle::kBlockRams:
      return Refuse(device, "block RAMs of 18 Kb", ResourcesOf(config, device, widths).bram18s,
                    device.bram18s);
    case Obstacle::kLuts: {
      const Resources taken = ResourcesOf(config, device, widths);
      return Refuse(device,
                    absl::StrCat("LUTs to compute (", taken.multipliers, " multipliers, ",
                                 taken.dsps, " of them in DSPs)"),
                    taken.luts, UsableLuts(device));
    }
    case Obstacle::kClock:
    case Obstacle::kNone:
      break;
  }
  if (!(clock.synthesis_period_ns > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the period of synthesis is ", clock.synthesis_period_ns, " ns"));
  }
  if (FindClockObstacle(clock, device) == Obstacle::kNone) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a clock of ", clock.megahertz, " MHz; synthesised for ",
                   clock.synthesis_period_ns, " ns, ", AbslView(device.name), " reaches ",
                   ReachableMegahertz(device, clock.synthesis_period_ns), " MHz"));
}

}  // namespace tessera::codesign
