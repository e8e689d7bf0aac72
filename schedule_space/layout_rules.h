#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "compiler/ir/buffer.h"
#include "compiler/schedule/schedule.h"

namespace tessera::space {

// Layout rewrite (Ansor, 2006.06762 §4.2): the storage order in which a nest, outermost loop
// first and with every extent known, walks through the buffer from its first element to its last.
// Dimensions that are not one plain axis stay whole, at the place of the first loop that moves
// them.
std::vector<ir::LayoutDim> LayoutInLoopOrder(const schedule::Access& access,
                                             absl::Span<const schedule::Digit> nest);

// Row-major but for a block of axis `block_axis`, which is innermost.
std::vector<ir::LayoutDim> BlockedLayout(const ir::BufferNode& buffer, int block_axis,
                                         int64_t block);

// Channel blocks offered for a blocked buffer: 1, 2, 4, … 64 where they divide, and all.
std::vector<int64_t> BlockChoices(int64_t channels);

// The axis of `buffer` whose elements are next to each other in memory, and how many of them.
// {-1, 1} for a scalar.
struct Contiguous {
  int dim;
  int64_t run;
};
Contiguous ContiguousDim(const ir::BufferNode& buffer);

// Whether an operand is read along the axis and another one together, as under a window.
bool IsWindow(const schedule::StageAnalysis& analysis, int axis);

// After how many steps along a spatial axis quotients and remainders in the reads repeat: the
// stride of a transposed convolution, whose phases read other taps each. 1: none do.
int64_t PeriodOf(const schedule::StageAnalysis& analysis, int axis);
// The period by which vectors along an axis of this extent are split, so that all lanes are of one
// phase; 1: they aren't.
int64_t VectorPhases(const schedule::StageAnalysis& analysis, int axis, int64_t extent);

}  // namespace tessera::space
