#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "codesign/resources.h"
#include "codesign/variant.h"

namespace tessera::codesign {

// What variants are made of: all combinations.
struct VariantAxes {
  std::vector<int> log_batch, log_block;
  std::vector<int> log_uop_bytes, log_inp_bytes, log_wgt_bytes, log_acc_bytes;
  std::vector<int> log_alu_narrowing;
  std::vector<int64_t> bus_bits, stages, megahertz;
};
// Tiles of 1 to 4 rows and 8 to 32 columns, memories of an eighth to four times the default's, a
// quarter to all of the ALU's lanes, buses of 32 to 128 bits, pipelines of 3 to 20 stages, and
// clocks up to the fastest that were published.
VariantAxes DefaultAxes();

// What came of screening: counts of variants, of each the first reason why it can't be.
struct Screening {
  int64_t screened = 0;
  int64_t not_encodable = 0;  // instructions or micro-ops have too few bits
  int64_t not_served = 0;     // the network has no programs for its tiles
  int64_t widths = 0;         // a bus wider than the port, an ALU of no lane
  int64_t block_rams = 0;
  int64_t luts = 0;
  int64_t clock = 0;   // not reached with so few stages
  int64_t slower = 0;  // can be, but another one differs only in being clocked faster with these
                       // stages, or in having fewer stages at this clock
  std::vector<Variant> variants;  // the others, in the order of the axes

  int64_t possible() const { return slower + static_cast<int64_t>(variants.size()); }
};

// Screens all combinations, each by CheckFits' rules. `serves` is asked once for each shape of a
// tile, by a configuration that has it. Requires axes of at least one value.
Screening Screen(const VariantAxes& axes, const Device& device,
                 const std::function<bool(const vta::Config&)>& serves);

}  // namespace tessera::codesign
