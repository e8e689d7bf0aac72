#pragma once

#include <cstdint>
#include <vector>

#include "compiler/vta/config.h"

namespace tessera::vta {

// How wide the fields of instructions are. Those of indices follow from the configuration.

inline constexpr int kOpcodeBits = 3;
inline constexpr int kDependenceBits = 4;
inline constexpr int kMemoryBits = 3;
inline constexpr int kSramBits = 16;
inline constexpr int kDramBits = 32;
inline constexpr int kExtentBits = 16;
inline constexpr int kPadBits = 4;
inline constexpr int kTurnBits = 14;
inline constexpr int kAluOpBits = 3;
inline constexpr int kImmediateBits = 16;
inline constexpr int kMaxLogDepth = kSramBits;

// Tiles of zeros on each side of what a load brings.
inline constexpr int64_t kMaxPad = (int64_t{1} << kPadBits) - 1;

struct IndexBits {
  int uop;
  int dst;  // of kAcc
  int gemm_src;
  int alu_src;
  int wgt;
  int uop_src;  // of micro-ops, which both share
};
IndexBits IndexBitsOf(const Config& config);

// What the fields of a word take, and have.
struct WordUse {
  const char* what;
  int bits;
  int limit;
};
std::vector<WordUse> WordUses(const Config& config);

}  // namespace tessera::vta
