#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace tessera::vta {

// What takes how long, in cycles of the accelerator's clock.
struct Timing {
  int64_t bus_bytes = 8;        // that the bus to DRAM, which all share, moves in a cycle
  int64_t row_latency = 32;     // from a row's request to its first byte; others may use the bus
  int64_t fetch_burst = 32;     // instructions that are fetched as one row
  int64_t queue_entries = 512;  // of each engine's instructions
  int64_t token_entries = 512;  // of each of the four queues of tokens
  int64_t gemm_depth = 4;       // stages of the pipelines
  int64_t alu_depth = 4;
  int64_t gemm_interval = 1;  // between steps
  int64_t alu_interval = 2;
  int64_t alu_immediate_interval = 1;
};

// InvalidArgument, with value and limit, where hardware could not be like this.
absl::Status CheckTiming(const Timing& timing);

}  // namespace tessera::vta
