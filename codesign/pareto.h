#pragma once

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace tessera::codesign {

// What a variant costs, each the less the better.
using Costs = std::vector<double>;

// Whether `a` is as good as `b` in all and better in one. Requires equal sizes.
bool Dominates(const Costs& a, const Costs& b);

// The places, ascending, of those that none dominates.
std::vector<size_t> FirstFront(absl::Span<const Costs> all);

// Of each the number of its front: 0 for those that none dominates, n + 1 for those that only
// members of fronts up to n do. Source: Deb et al., NSGA-II, 2002, non-dominated sorting.
std::vector<int> FrontsOf(absl::Span<const Costs> all);

}  // namespace tessera::codesign
