#pragma once

#include <vector>

#include "db/record/record.h"

namespace tessera::runner {

// Load, clock and temperature now, as far as the system tells; unread values stay negative.
// `cores`: whose clock is read; empty = the first.
db::Environment ReadEnvironment(const std::vector<int>& cores);

}  // namespace tessera::runner
