#pragma once

#include <vector>

#include "compiler/schedule/schedule.h"

// Short forms of the loops that rules decide (schedule::Nest).

namespace tessera::space {

using Loops = std::vector<schedule::LoopState>;

// The extent of an axis's coarsest digit: whatever the finer ones leave.
constexpr int64_t kRest = 0;

inline schedule::LoopState Loop(schedule::Digit digit, ir::LoopKind kind = ir::LoopKind::kSerial) {
  schedule::LoopState loop;
  loop.kind = kind;
  loop.digits.push_back(digit);
  return loop;
}

// Leaves out what has one iteration.
inline void AddLoop(Loops& loops, schedule::Digit digit,
                    ir::LoopKind kind = ir::LoopKind::kSerial) {
  if (digit.extent != 1) loops.push_back(Loop(digit, kind));
}

}  // namespace tessera::space
