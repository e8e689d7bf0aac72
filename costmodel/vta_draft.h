#pragma once

#include "absl/types/span.h"

namespace tessera::costmodel {

// DraftSeconds of a VTA's program: its column of cycles at the clock of the boards that
// vta::Timing's defaults are of.
double VtaDraftSeconds(absl::Span<const float> row);

}  // namespace tessera::costmodel
