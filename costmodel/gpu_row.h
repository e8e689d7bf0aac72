#pragma once

#include "costmodel/feature_row.h"

namespace tessera::costmodel {

// What a compute unit is taken for where the target does not tell, in round numbers that suit those
// of several makers: it holds blocks until one of these, or the memory that the target's blocks may
// share, is used up.
inline constexpr double kUnitThreads = 2048, kUnitBlocks = 32, kUnitRegisters = 64 << 10;

// The columns that programs of GPUs have after the others. `main` is the main stage's nest.
void WriteGpu(const ProfiledProgram& program, const NestProfile& main, RowWriter& row);

}  // namespace tessera::costmodel
