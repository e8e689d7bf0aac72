#pragma once

#include <vector>

#include "absl/types/span.h"
#include "base/rng.h"
#include "tuner/explorer.h"

namespace tessera::tuner {

// What is expected of a pool's candidates and of the trials in flight. Unit: the distance between
// the scores of the pool's best candidate, 1, and its worst, 0.
struct Outlook {
  std::vector<double> scores;      // of each candidate
  std::vector<double> deviations;  // how far those may be off; empty: it is not told
  std::vector<double> in_flight;   // scores of these trials; empty: nothing is expected of them
};

// By the candidates' scores and what the view's ranker, if there is one, predicts of them.
Outlook Expect(const TaskView& view, absl::Span<const Candidate> pool,
               absl::Span<const Point> in_flight);

struct BatchOptions {
  double diversity = 0.4;  // weight of new knob values against score
  // How much of what a trial promises its likes lose while its result is not there.
  double liar = 1;
};

// Chooses `count` candidates that are good and differ: greedy maximisation of
//   Σ score + diversity × Σ share of knob values not covered yet,
// which is submodular, so greedy is within 1 − 1/e of the optimum (arXiv:1805.08166 §3.3). Knob
// values of `in_flight` count as covered.
// Each choice is made by scores of its own draw, where deviations are told (Thompson 1933), and
// as if trials without a result, the choices before it among them, came back as mediocre as the
// pool's mean (the constant liar of Ginsbourger, Le Riche and Carraro 2010): of what one promises
// beyond that, a candidate that differs from it in one knob loses all until the promise is kept,
// half of it with two knobs, a quarter with three.
// Returns indices into `pool` in the order chosen; ties go to the lower index.
std::vector<int> SelectBatch(absl::Span<const Candidate> pool, absl::Span<const Point> in_flight,
                             const Outlook& outlook, int count, const BatchOptions& options,
                             Rng& rng);

}  // namespace tessera::tuner
