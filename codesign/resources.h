#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/config.h"

namespace tessera::codesign {

// An FPGA. Sources of its figures: docs/vta-resources.md.
struct Device {
  std::string_view name;
  int64_t dsps;
  int64_t bram18s;  // block RAMs of 18 Kb; a RAM of 36 Kb is two
  int64_t luts;
  int64_t bus_bits;          // of its port to DRAM
  double fastest_megahertz;  // that VTA, or its predecessor, was published with
};
absl::Span<const Device> Devices();
// By name, "XC7Z020"; NotFound says which there are.
absl::StatusOr<Device> FindDevice(std::string_view name);

// What a configuration leaves open of a variant's width.
struct Widths {
  int log_alu_narrowing = 0;  // the ALU has batch × block lanes, divided by this power of two
  int64_t bus_bits = 0;       // of the port to DRAM; 0: all that the device has
};

// What a variant of VTA takes of a device.
struct Resources {
  int64_t multipliers = 0;     // of 8 × 8 bits
  int64_t dsps = 0;            // one a multiplier, while there are any
  int64_t memory_bram18s = 0;  // of the five memories
  int64_t bram18s = 0;         // with queues and the buffers of the bus masters
  int64_t luts = 0;            // of what computes: other multipliers, adders, ALU
};
Resources ResourcesOf(const vta::Config& config, const Device& device, const Widths& widths = {});

// Block RAMs of 18 Kb that a memory with two ports takes: the least over 1K × 16, 2K × 8, 4K × 4,
// 8K × 2 and 16K × 1 bits. Two of them are one of 36 Kb.
int64_t Bram18s(int64_t width_bits, int64_t depth);
// Of one of the five memories, which is read and written by its own tiles. Wide ones are cut into
// banks.
int64_t MemoryBram18s(const vta::Config& config, vta::Memory memory);

// What the device is clocked with, and the period that high-level synthesis was asked for, which
// sets how many stages pipelines have.
struct Clock {
  double megahertz = 100;
  double synthesis_period_ns = 7;
};
// The fastest clock that designs of this period were published to close with on the device, or that
// follows from those; more stages need a shorter period. A size of the design that would slow it
// down is not known.
double ReachableMegahertz(const Device& device, double synthesis_period_ns);
// The period that pipelines of so many stages are synthesised for, in nanoseconds. Requires
// stages > 0. Two published designs set it, a third agrees (docs/vta-resources.md).
double SynthesisPeriod(int64_t stages);

// Why a variant can't be, the first of these that applies; kNone: it can.
enum class Obstacle : uint8_t { kNone, kEncoding, kWidths, kBlockRams, kLuts, kClock };
Obstacle FindSizeObstacle(const vta::Config& config, const Device& device, const Widths& widths);
// kClock or kNone.
Obstacle FindClockObstacle(const Clock& clock, const Device& device);
// InvalidArgument, with value and limit, for a variant with an obstacle.
absl::Status CheckFits(const vta::Config& config, const Clock& clock, const Device& device,
                       const Widths& widths = {});

}  // namespace tessera::codesign
