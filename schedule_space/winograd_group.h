#pragma once

#include <memory>
#include <string>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/winograd_form.h"
#include "schedule_space/group.h"

namespace tessera::space {

// A convolution by Winograd's algorithm (compiler/schedule/winograd.h). All products of tiles with
// filters are made in the register tiles of MakeTileGroup; the transforms around them take a vector
// of channels of one tile at a time, one dimension after the other: a loop over columns (or rows)
// with the other dimension unrolled in registers, and a tile of results between the two. "Places"
// are images, phases and tiles.
//   V:      channel vectors · places · [Bd: columns · [d] · rows] · rows · columns unrolled
//           (or d, the padded input, at the root)
//   M:      a tile group over [e, places, filters]
//   store:  filter vectors · places · [AM: rows · columns unrolled] · columns · [Y: rows] ·
//           rows unrolled
// With one window: V: … · [d] · columns unrolled; store: … · [Y] · columns unrolled.
// V and M are at the root, or, in blocks of tile rows, inside of the store's:
//   store:  images · blocks · [V] · [M] · filter vectors · tile rows · …
// U and what it is made of are constant.
struct WinogradSpec {
  const schedule::Schedule* base = nullptr;  // after the structural steps
  std::string conv;                          // the stage that was rewritten
  schedule::WinogradForm form;               // what it was
  int64_t m = 0;
  int store = -1;          // the last stage, which has the axes of `conv`
  int64_t block_rows = 0;  // tile rows of a block, which divide them; 0: V and M are at the root
  int threads = 1;
};

// Requires that `base` has cached M. Null as MakeTileGroup.
std::unique_ptr<Group> MakeWinogradGroup(const WinogradSpec& spec, const ir::Target& target);

// The tile rows of a block worth offering: the most whose V and M stay in L2 together with U. 0
// where everything does anyway, where U, which every block reads, leaves no room, or where there is
// more than images, rows and columns.
int64_t WinogradBlockRows(const schedule::Schedule& base, const std::string& conv,
                          const schedule::WinogradForm& form, const ir::Target& target);

}  // namespace tessera::space
