#pragma once

#include <cstdint>
#include <vector>

#include "compiler/te/dag.h"

namespace tessera::te {

// How many points of the box `axes` meet all `conditions`. Exact, and fast for what windows and
// padding give: variables fall into groups that no condition joins, one variable of each is solved
// for. Conditions are comparisons of linear expressions, in which one quotient or one remainder by
// a constant may stand; of others, and of groups that would take more than 2^18 steps, all points
// count. Saturates.
int64_t CountPoints(const std::vector<Axis>& axes, const std::vector<ir::Expr>& conditions);

}  // namespace tessera::te
