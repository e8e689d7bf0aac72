#pragma once

#include <memory>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

struct RowSpec {
  const schedule::Schedule* base = nullptr;  // after the structural steps; outlives the group
  std::vector<int> stages;  // in topological order; what they read is at the root …
  int block_axis = -1;      // … or, if this is not -1, in this axis's loop of the last stage
  int threads = 1;
};

// How many leading axes of the last stage count rows.
int RowAxes(const schedule::Schedule& base, const std::vector<int>& stages);

// Whether each of `producers` is read by `stages` at the reader's own place along `axes` axes.
bool ReadsByRow(const schedule::Schedule& base, const std::vector<int>& stages,
                const std::vector<int>& producers, int axes);

// Whether all but the last of `stages` are there for later ones alone: they can be computed there.
bool FeedLast(const schedule::Schedule& base, const std::vector<int>& stages);

// The innermost axis of the last of `stages` whose loop has several rows in it, all that the stages
// read of each other and of `producers` for one of its iterations being of that iteration; -1 if
// there is none or an output is among what would be computed there.
int RowBlockAxis(const schedule::Schedule& base, const std::vector<int>& stages,
                 const std::vector<int>& producers);

// Stages that go along rows (softmax, norms, reductions over contiguous axes, tuples): the last
// stage's leading axes are the rows. Reductions are factored into vectors of partial results
// (rfactor), which are combined vector by vector, then lane by lane; element-wise stages are
// vectorised along the row, and all but the last stage are computed row by row where the last stage
// reads them (for one row or a few at a time), or each at the root. Of a single row, threads share
// the points of each reduction. With a block axis, all are computed row by row, and threads share
// loops up to that axis only.
std::unique_ptr<Group> MakeRowGroup(const RowSpec& spec, const ir::Target& target);

}  // namespace tessera::space
