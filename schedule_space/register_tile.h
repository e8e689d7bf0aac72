#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/knob.h"

namespace tessera::space {

// An axis that a stage's stores may be vectorised along, and the widest vector that stays
// contiguous in memory.
struct VectorAxis {
  int axis = -1;  // -1: the tile is scalar
  int64_t run = 1;
};

// The innermost tile of a computation: one axis in vectors, others unrolled.
struct RegisterTileProblem {
  std::vector<int64_t> extents;                       // of the spatial axes
  std::vector<VectorAxis> vector_axes;                // candidates, at least one
  const schedule::StageAnalysis* analysis = nullptr;  // of the computation; null: a plain map
  int element_bits = 32;                              // of the accumulators
  std::vector<int> untiled;                           // axes whose factor is 1
  bool whole_tiles = false;                           // unrolled factors have to divide
  std::vector<int64_t> lanes;                         // that vectors may have; empty: any
};

// Options {vector axis, lanes, factor of each axis}, the vector axis's factor counting elements.
// All fit the register file: accumulators + one operand's vectors + 1 (baselines.md: more spills,
// 43–81 instead of 117 GFLOPS). Those with under an eighth of the accumulators that fit are left
// out. Weights prefer many multiplications per loaded value, enough independent accumulators to
// hide latency, whole vectors, little waste at edges, no vector tails, and no vectors along inlined
// padding.
Knob RegisterTileKnob(const RegisterTileProblem& problem, const ir::Target& target);

// Parts of its options.
constexpr int kTileVectorAxis = 0;
constexpr int kTileLanes = 1;
constexpr int kTileFactors = 2;

// Accumulator vectors of an option.
int64_t Accumulators(const Option& tile);

}  // namespace tessera::space
