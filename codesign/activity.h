#pragma once

#include <array>

#include "absl/types/span.h"
#include "codesign/variant.h"
#include "compiler/vta/config.h"
#include "compiler/vta/instruction.h"
#include "costmodel/vta_profile.h"

namespace tessera::codesign {

// What a program, or several, make the accelerator do. Counts are whole but where they are
// estimated.
struct Activity {
  double cycles = 0;
  double products = 0;      // of tiles
  double resets = 0;        // of accumulators' tiles
  double operations = 0;    // of the ALU, on tiles
  double second_reads = 0;  // of these, accumulators that they read beside the first
  std::array<double, vta::kMemories> tiles_moved = {};  // into a memory; of kOut, out of it
  double dram_bytes = 0;                                // read and written

  // `times` another one's, added.
  void Add(const Activity& other, double times = 1);
  friend bool operator==(const Activity&, const Activity&) = default;
};

// Of a program's instructions; cycles and bytes of DRAM, which the simulator counts, are 0.
Activity ActivityOf(absl::Span<const vta::Instruction> program);
// Of a program that was not simulated.
Activity EstimatedActivity(const costmodel::VtaProfile& profile, const vta::Config& config);

// Estimated energy of what is done, in picojoules, without what leaks and the clock tree. For
// comparing variants with each other: the figures are of a 45 nm process, not of an FPGA
// (docs/codesign.md).
double Picojoules(const Activity& activity, const vta::Config& config);

}  // namespace tessera::codesign
