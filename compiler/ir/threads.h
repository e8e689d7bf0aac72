#pragma once

#include "compiler/ir/visitor.h"

// What loops of a GPU's kernels are bound to, and what their threads share.

namespace tessera::ir {

// An axis of blocks, or of the threads of one (kVirtual is neither).
inline bool IsBlockAxis(ThreadAxis axis) {
  return axis >= ThreadAxis::kBlockX && axis <= ThreadAxis::kBlockZ;
}
inline bool IsThreadAxis(ThreadAxis axis) {
  return axis >= ThreadAxis::kThreadX && axis <= ThreadAxis::kThreadZ;
}

// Whether memory that a block shares is allocated inside: then all of its threads have to run it.
inline bool SharesMemory(const Stmt& s) {
  bool shares = false;
  ForEach<Allocate>(s,
                    [&](const Allocate& node) { shares |= node.buffer->scope == Scope::kShared; });
  return shares;
}

}  // namespace tessera::ir
