#pragma once

#include "costmodel/feature_row.h"
#include "costmodel/vta_profile.h"

namespace tessera::costmodel {

// The row of a program of a VTA, all of it: nothing in it is as on a CPU.
void WriteVta(const ir::Target& target, const VtaProfile& profile, RowWriter& row);

}  // namespace tessera::costmodel
