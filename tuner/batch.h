#pragma once

#include <vector>

#include "absl/types/span.h"
#include "tuner/explorer.h"

namespace tessera::tuner {

// Chooses `count` candidates that are good and differ: greedy maximisation of
//   Σ score (scaled to [0, 1] over the pool) + diversity × Σ share of knob values not covered yet,
// which is submodular, so greedy is within 1 − 1/e of the optimum (arXiv:1805.08166 §3.3).
// Knob values of `in_flight` count as covered: trials without a result are taken to bring nothing
// new (a constant liar). Returns indices into `pool` in the order chosen; ties go to the lower
// index.
std::vector<int> SelectBatch(absl::Span<const Candidate> pool, int count,
                             absl::Span<const Point> in_flight, double diversity);

}  // namespace tessera::tuner
