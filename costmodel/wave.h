#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "compiler/ir/buffer.h"
#include "compiler/ir/stmt.h"

// What threads of a GPU that run in step do to memory with one access.

namespace tessera::costmodel {

// Threads of a block along x, y and z; neighbours along x are neighbours in a wave.
using BlockShape = std::array<int64_t, 3>;
// An axis' place in it. Requires ir::IsThreadAxis.
inline size_t BlockAxis(ir::ThreadAxis axis) {
  return static_cast<size_t>(axis) - static_cast<size_t>(ir::ThreadAxis::kThreadX);
}

// Global memory moves in sectors. Shared memory has banks of one word each, of which each serves
// one word at a time.
inline constexpr int64_t kSectorBytes = 32;
inline constexpr int kBanks = 32;
inline constexpr int64_t kWordBytes = 4;

// What the first threads of a block, a wave of them, touch at once: the least is what they would if
// what they touch lay side by side. One thread, one sector and one cycle where nothing is bound to
// threads.
struct WaveAccess {
  int threads = 1;  // that take part
  double sectors = 1, least_sectors = 1;
  double bank_cycles = 1, least_cycles = 1;
};

// How an axis of threads moves an access along a dimension of its buffer: thread t by
// factor × ((t / divisor) % extent).
struct LaneTerm {
  size_t axis;  // 0 is x
  int64_t divisor, extent;
  int dim;
  double factor;
};

struct WaveQuestion {
  int wave_threads;
  const BlockShape& block;
  const BlockShape& iterations;  // that the threads of each axis share out; 0: each does the same
  absl::Span<const LaneTerm> terms;
  absl::Span<const ir::LayoutDim> storage;  // of the buffer, outermost first
  int64_t element_bytes;
  int64_t lanes;  // elements side by side that a thread accesses
};

// As if the access of the first thread began at a sector. Of waves of more than 64 threads the
// first 64. Allocates nothing.
WaveAccess AccessOfWave(const WaveQuestion& question);

}  // namespace tessera::costmodel
