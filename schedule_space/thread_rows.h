#pragma once

#include <memory>
#include <vector>

#include "compiler/ir/target.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/group.h"

namespace tessera::space {

// Stages that go along rows, as softmax and norms do (row_group.h): a block of a GPU has a row of
// the last stage, and all others are computed in it. Its threads share each reduction out twice
// (rfactor), to a partial result each and then to a few that every thread adds up, and take every
// n-th element of what is element-wise; rows that stages make for others are shared memory.
// Null where blocks have less than 16 threads, rows of those don't fit, the last stage reduces,
// stages read other rows than their own, or nothing goes along rows but one reduction. `base`
// outlives the group.
std::unique_ptr<Group> MakeThreadRowGroup(const schedule::Schedule& base,
                                          const std::vector<int>& stages, const ir::Target& target);

}  // namespace tessera::space
