#pragma once

#include <memory>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// Stages that go along rows (softmax, norms, reductions over contiguous axes, tuples): the last
// stage's leading axes are the rows. Reductions are factored into vectors of partial results
// (rfactor), which are combined vector by vector, then lane by lane; element-wise stages are
// vectorised along the row, and all but the last stage are computed row by row where the last stage
// reads them (for one row or a few at a time), or each at the root. Of a single row, threads share
// the points of each reduction.
//
// `base`: after the structural steps; it must outlive the group.
std::unique_ptr<Group> MakeRowGroup(const schedule::Schedule& base, const ir::Target& target,
                                    int threads);

}  // namespace tessera::space
