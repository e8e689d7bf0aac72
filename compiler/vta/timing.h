#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace tessera::vta {

// What takes how long, in cycles of the accelerator's clock. The defaults are of the design that
// ran on the PYNQ boards, each with its source in docs/vta-timing.md. They were set before anything
// was tuned and are not fitted to results.
struct Timing {
  int64_t bus_bytes = 8;         // that the bus to DRAM moves in a cycle, each way
  int64_t row_latency = 32;      // from a row's request to its first byte; others may use the bus
  int64_t fetch_burst = 16;      // instructions that are fetched as one row
  int64_t queue_entries = 512;   // of each engine's instructions
  int64_t token_entries = 1024;  // of each of the four queues of tokens
  int64_t gemm_depth = 4;        // stages of the pipelines
  int64_t alu_depth = 4;
  int64_t turn_cycles = 6;    // from a turn of the loops around micro-ops to the next
  int64_t gemm_interval = 1;  // between steps
  int64_t alu_interval = 2;
  int64_t alu_immediate_interval = 2;
};

// InvalidArgument, with value and limit, where hardware could not be like this.
absl::Status CheckTiming(const Timing& timing);

}  // namespace tessera::vta
