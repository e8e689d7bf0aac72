#pragma once

#include "costmodel/vta_profile.h"

namespace tessera::costmodel {

// What a kernel takes as a whole, of the engines' work that was counted: its instructions, what
// they wait for, and cycles. Requires that it computes something.
VtaProfile WithCycles(VtaProfile counted);

}  // namespace tessera::costmodel
