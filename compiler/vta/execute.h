#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/vta/instruction.h"
#include "compiler/vta/memories.h"

namespace tessera::vta {

// Bytes of DRAM: [begin, end).
struct DramRange {
  int64_t begin;
  int64_t end;
};

// What an instruction has touched.
struct Footprint {
  std::array<TileSet, kMemories> reads;
  std::array<TileSet, kMemories> writes;
  std::vector<DramRange> dram_reads;  // one a row
  std::vector<DramRange> dram_writes;
  int64_t steps = 0;         // of the innermost loop of Gemm and Alu
  int64_t padded_tiles = 0;  // that a load has filled with zeros
};

// The steps after which an accumulator may be used again.
struct PipelineDepths {
  int64_t gemm;
  int64_t alu;
};

// Does what the instruction says, at once. FailedPrecondition, with tile and limit, where the
// hardware would compute something else or nothing sensible: tiles or bytes that there aren't,
// tiles that nothing was put into, accumulators that come again before the pipeline has stored
// them, micro-ops of more rows than one.
absl::StatusOr<Footprint> Execute(const Instruction& instruction, const Config& config,
                                  PipelineDepths depths, Memories& memories,
                                  absl::Span<uint8_t> dram);

}  // namespace tessera::vta
