#pragma once

#include <cstdint>

#include "compiler/ir/target.h"

// What programs want of the registers of a GPU's threads. The space asks what certainly does not
// fit, features what is likely (docs/features.md says how both compare with an assembler's count).

namespace tessera::schedule {

// Bytes of values that each of a block's threads can hold at the same time, at most: accumulators
// and what is loaded ahead of doubled buffers. More of them would certainly be spilled. The largest
// number where the target has no limit.
int64_t HoldableBytes(const ir::Target& target, int64_t block_threads);

// Registers that a compiler is likely to give a thread that holds so many bytes and reads and
// writes so many in one step of its innermost body, if it has as many as it likes.
double LikelyRegisters(double held_bytes, double operand_bytes);

}  // namespace tessera::schedule
