#pragma once

#include <cstdint>
#include <vector>

namespace tessera::schedule {

// Ascending, 1 and `n` included, in time of √n. Requires n >= 1.
std::vector<int64_t> Divisors(int64_t n);

}  // namespace tessera::schedule
