#pragma once

#include <memory>
#include <string>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// A 3 × 3 convolution by Winograd's algorithm (compiler/schedule/winograd.h). All products of tiles
// with filters are made in the register tiles of MakeTileGroup, the transforms around them at the
// root, a vector of channels of one tile at a time in registers:
//   V:      channel vectors · images · tile rows · tile columns · [d, Bd] · unrolled
//           (or d, the padded input, at the root)
//   M:      a tile group over [e, n, th, tw, oc]
//   store:  channel vectors · images · tile rows · tile columns · [AM, Y] · unrolled
// U and what it is made of are constant.
struct WinogradSpec {
  const schedule::Schedule* base = nullptr;  // after the structural steps
  std::string conv;                          // the stage that was rewritten
  int64_t m = 0;
  int store = -1;  // the last stage, which has the axes of `conv`
  int threads = 1;
};

// Requires that `base` has cached M. Null as MakeTileGroup.
std::unique_ptr<Group> MakeWinogradGroup(const WinogradSpec& spec, const ir::Target& target);

}  // namespace tessera::space
