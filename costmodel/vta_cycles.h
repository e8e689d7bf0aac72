#pragma once

#include "compiler/vta/timing.h"
#include "costmodel/vta_profile.h"

namespace tessera::costmodel {

// What a kernel takes as a whole, of the engines' work that was counted: its instructions, what
// they wait for, and cycles. Requires that it computes something. `timing` is that by which the
// work was counted.
VtaProfile WithCycles(VtaProfile counted, const vta::Timing& timing = {});

// The profile of a program of one kernel (VtaProfiler) as other parameters make it: the same work,
// its cycles counted anew.
VtaProfile WithTiming(VtaProfile profile, const vta::Timing& timing);

}  // namespace tessera::costmodel
