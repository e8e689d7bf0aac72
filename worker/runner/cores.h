#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tessera::runner {

// Binds the calling thread to one core, or it and those that it starts later to several. False when
// this process may not use them.
bool PinThisThread(int core);
bool PinThisThread(absl::Span<const int32_t> cores);

// Cores that this process may use, ascending.
std::vector<int> AllowedCores();

}  // namespace tessera::runner
