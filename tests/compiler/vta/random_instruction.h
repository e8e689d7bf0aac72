#pragma once

#include "base/rng.h"
#include "compiler/vta/fields.h"
#include "compiler/vta/instruction.h"

namespace tessera::vta {

inline int64_t RandomField(Rng& rng, int bits) {
  // Often a bound: what is cut off or runs into a neighbour shows there.
  const int64_t most = (int64_t{1} << bits) - 1;
  return rng.Chance(0.3) ? most : rng.Between(0, most);
}

// Any that can be encoded.
inline Instruction RandomInstruction(Rng& rng, const Config& config) {
  const IndexBits bits = IndexBitsOf(config);
  Instruction made;
  made.dependences = {rng.Chance(0.5), rng.Chance(0.5), rng.Chance(0.5), rng.Chance(0.5)};
  const auto loops = [&](auto& operation, int src_bits, int wgt_bits) {
    operation.uop_begin = RandomField(rng, bits.uop);
    operation.uop_end = RandomField(rng, bits.uop + 1);
    for (Loop* loop : {&operation.outer, &operation.inner}) {
      *loop = {.turns = RandomField(rng, kTurnBits),
               .dst_step = RandomField(rng, bits.dst),
               .src_step = RandomField(rng, src_bits),
               .wgt_step = RandomField(rng, wgt_bits)};
    }
    return operation;
  };
  switch (rng.Below(5)) {
    case 0:
    case 1: {
      Transfer transfer;
      transfer.is_store = rng.Chance(0.3);
      transfer.memory = transfer.is_store ? Memory::kOut : static_cast<Memory>(rng.Below(4));
      transfer.sram_base = RandomField(rng, kSramBits);
      transfer.dram_base = RandomField(rng, kDramBits);
      transfer.y_size = RandomField(rng, kExtentBits);
      transfer.x_size = RandomField(rng, kExtentBits);
      transfer.x_stride = RandomField(rng, kExtentBits);
      if (!transfer.is_store) {
        for (int64_t* pad : {&transfer.y_pad_before, &transfer.y_pad_after, &transfer.x_pad_before,
                             &transfer.x_pad_after}) {
          *pad = RandomField(rng, kPadBits);
        }
      }
      made.operation = transfer;
      break;
    }
    case 2: {
      Gemm gemm{.resets = rng.Chance(0.3)};
      made.operation = loops(gemm, bits.gemm_src, bits.wgt);
      break;
    }
    case 3: {
      Alu alu{.op = static_cast<AluOp>(rng.Below(kAluOps)), .uses_immediate = rng.Chance(0.5)};
      if (alu.uses_immediate) alu.immediate = rng.Between(-32768, 32767);
      made.operation = loops(alu, bits.alu_src, 0);
      break;
    }
    default:
      made.operation = Finish{};
  }
  return made;
}

// Any that can be encoded, of tiles from one to 64 wide.
inline Config RandomConfig(Rng& rng) {
  for (;;) {
    Config config;
    config.log_batch = static_cast<int>(rng.Below(4));
    config.log_block = static_cast<int>(rng.Below(7));
    for (int* memory : {&config.log_uop_bytes, &config.log_inp_bytes, &config.log_wgt_bytes,
                        &config.log_acc_bytes}) {
      *memory = static_cast<int>(rng.Between(8, 20));
    }
    if (CheckEncodable(config).ok()) return config;
  }
}

}  // namespace tessera::vta
