#pragma once

#include <cstdint>
#include <vector>

#include "db/record/record.h"

namespace tessera::runner {

// Load, clock and temperature now, as far as the system tells; unread values stay negative.
// `cores`: whose clock is read; empty = the first.
db::Environment ReadEnvironment(const std::vector<int>& cores);

// What the system could hand out now without swapping, and this process address; -1 where it does
// not tell.
int64_t AvailableMemoryBytes();

}  // namespace tessera::runner
