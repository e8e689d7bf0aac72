#include "compiler/vta/fields.h"

#include <algorithm>

namespace tessera::vta {

IndexBits IndexBitsOf(const Config& config) {
  const int acc = config.LogDepth(Memory::kAcc), inp = config.LogDepth(Memory::kInp);
  return {.uop = config.LogDepth(Memory::kUop),
          .dst = acc,
          .gemm_src = inp,
          .alu_src = acc,
          .wgt = config.LogDepth(Memory::kWgt),
          .uop_src = std::max(acc, inp)};
}

std::vector<WordUse> WordUses(const Config& config) {
  const IndexBits index = IndexBitsOf(config);
  // The end of a range of micro-ops is one past the last.
  const int head = kOpcodeBits + kDependenceBits + 1 + index.uop + (index.uop + 1) + 2 * kTurnBits;
  return {{"a micro-op", index.dst + index.uop_src + index.wgt, 32},
          {"the first half of gemm and alu", head, 64},
          {"the second half of gemm", 2 * (index.dst + index.gemm_src + index.wgt), 64},
          {"the second half of alu",
           2 * (index.dst + index.alu_src) + kAluOpBits + 1 + kImmediateBits, 64}};
}

}  // namespace tessera::vta
