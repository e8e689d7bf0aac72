#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tessera::runner {

struct PeakFlops {
  double gflops = 0;          // of all threads together, single precision, multiply and add count 2
  std::string_view features;  // what the loop used: "avx512", "avx2", "sse4.2", "neon"
};

// The arithmetic speed that the cores reach in a loop of independent fused multiply-adds on
// registers (multiply then add where there is no FMA): the ceiling that kernels are compared with,
// and the reference kernel that shows whether a device drifts. The best of repeats that last
// `duration` together. `cores`: one a thread, or empty for no pinning. InvalidArgument for threads
// below 1, or cores that don't match or may not be used. Heats the cores; call while they're
// leased.
absl::StatusOr<PeakFlops> MeasurePeakFlops(int threads, const std::vector<int>& cores,
                                           absl::Duration duration = absl::Milliseconds(100));

}  // namespace tessera::runner
