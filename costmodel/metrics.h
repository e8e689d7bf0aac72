#pragma once

#include "absl/types/span.h"

// How well scores rank measured programs. Throughput is in any unit, failures have 0, and there are
// as many values as scores.

namespace tessera::costmodel {

// 1 where scores order two programs of different throughput rightly, 0 where wrongly; 0.5 where the
// scores are equal.
double RightOrder(float score_a, float score_b, float throughput_a, float throughput_b);

// Of one task: the share of pairs of different throughput that the scores order rightly; equal
// scores count half. 0.5 where there is no such pair.
double PairwiseAccuracy(absl::Span<const float> scores, absl::Span<const float> throughput);

// Of several tasks, `groups` of so many consecutive programs each (empty: one task): the mean over
// the tasks that have such a pair.
double PairwiseAccuracy(absl::Span<const float> scores, absl::Span<const float> throughput,
                        absl::Span<const int> groups);

// Of one task: the best throughput among the `k` programs with the highest scores ÷ the best of
// all. Equal scores take the mean over their orders, so that scores that tell nothing apart get
// what drawing lots gets. 1 where every throughput is 0. Requires k > 0.
double TopScore(absl::Span<const float> scores, absl::Span<const float> throughput, int k);

}  // namespace tessera::costmodel
