#pragma once

#include <array>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::costmodel {

// Limits of what is looked at; loops, dimensions or reads beyond them are left out.
constexpr int kMaxNestLoops = 40;
constexpr int kMaxDims = 12;
constexpr int kMaxAccesses = 8;
constexpr double kLineBytes = 64;

// How one access moves through memory, by depth: depth d stands for one run of the loops from d
// inwards, so depth 0 is the whole program and the last depth one execution of the body. Entries
// beyond a nest's depth have no value: zeros would take longer than what is computed.
struct AccessProfile {
  AccessProfile() {}

  bool is_write = false;
  double element_bytes = 4;
  double vector_stride = 0;                        // elements; 0: all lanes read the same
  std::array<bool, kMaxNestLoops> moved;           // by the loop
  std::array<double, kMaxNestLoops> stride;        // of one step of the loop, in elements
  std::array<double, kMaxNestLoops + 1> elements;  // distinct ones
  std::array<double, kMaxNestLoops + 1> lines;     // distinct cache lines
};

// The loops around a stage's body, outermost first, those of the stages it is attached in included.
struct NestProfile {
  int depth = 0;  // number of loops
  std::array<double, kMaxNestLoops> extent;
  std::array<ir::LoopKind, kMaxNestLoops> kind;
  std::array<bool, kMaxNestLoops> is_reduction;
  std::array<double, kMaxNestLoops + 1> iterations;  // of the body, by depth
  // Bytes of the lines that all accesses touch, by depth.
  std::array<double, kMaxNestLoops + 1> working_set;
  int own_begin = 0;  // first loop of the stage itself
  absl::InlinedVector<AccessProfile, kMaxAccesses> accesses;
};

NestProfile ProfileNest(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
                        const schedule::BoundStage& stage);

}  // namespace tessera::costmodel
