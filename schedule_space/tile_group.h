#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// Multi-level tiling with fusion: a store stage (an epilogue, or the copy out of a cached
// reduction) in tiles, and the reduction that feeds it computed for one tile at a time.
//
//   store:   outer loops (an order) · middle loops (an order) · [reduction] · tiles · register tile
//   reduce:  chunks · tiles (an order) · reduction loops (an order) · unrolled · register tile
//
// "tiles" are more than one register tile only when the reduction is chunked. Ansor calls this
// SSRSRS (2006.06762).
struct TileSpec {
  const schedule::Schedule* base = nullptr;  // after the structural steps
  int reduce = -1;                           // stage index; -1: the store stage is all there is
  int store = -1;
  std::vector<int> copies;     // stages that are made first: padding, packing
  bool places_copies = false;  // knobs for the outer loops that copies are made inside of
  // Stages that the caller schedules, whose outputs are stored in the order in which they are read.
  std::vector<int> ordered;
  // Of the store stage's axes, where the caller runs it for a part of them at a time; empty: all.
  std::vector<int64_t> extents;
  std::vector<int> untiled;  // axes that no tile holds more than one element of
  // Updates that the reduction's unrolled loops and a register tile may make together.
  int64_t max_bodies = 768;
  bool offers_blocks = true;  // knobs for channel blocks of inputs and of the output
  // The reduction's last axis is summed by an instruction of these numbers of lanes, innermost.
  std::vector<int64_t> dot_lanes;
  std::vector<int> sums;  // stages that stay at the root: sums over one operand
  bool chunked = false;
  int threads = 1;
};

// Null when the spec has no choice that is worth it (chunks of a short reduction).
std::unique_ptr<Group> MakeTileGroup(const TileSpec& spec, const ir::Target& target);

// Whether `store` reads `reduce` at its own place and nowhere else, so that MakeTileGroup applies.
bool IsElementwiseOver(const schedule::Schedule& schedule, int store, int reduce);

}  // namespace tessera::space
