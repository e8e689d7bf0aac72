#pragma once

#include <vector>

#include "absl/types/span.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// A family are the programs of one sketch that have the same option of its first knob, of most
// sketches the register tile: what the other knobs are worth depends on it, and an estimate that
// errs about one of its programs mostly errs about all.
//
// The indices of `points` in the order in which to try them, so that no family is left out because
// another is thought to be better: those of families with the fewest of the `tried` points and of
// points earlier in the order come first, of these those of least `costs`. Ties go to the lower
// index.
std::vector<int> OrderByFamily(absl::Span<const Point> points, absl::Span<const double> costs,
                               absl::Span<const Point> tried);

}  // namespace tessera::tuner
