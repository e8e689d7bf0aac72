#pragma once

#include <cstdint>
#include <vector>

namespace tessera::tuner {

// How the fastest program of a task got faster with its results, and what more results promise.
//
// Where the fast side of the logarithms of time falls off exponentially, the n-th of exchangeable
// results is a new best with chance 1/n, and better by the scale of that tail on the average: the
// best time falls like n^-slope, with that scale as slope. It is estimated by the excesses of the
// fastest results (Hill's estimator, 1975) and a prior, which has to be refuted by results that are
// alike. A function of the order of calls. Thread-compatible.
class Improvement {
 public:
  void Add(double cost_seconds);  // infinity for a program that failed

  // Results that others had before the first one.
  void Know(int64_t results) { known_ += results; }

  int64_t known() const { return known_; }
  int64_t results() const { return results_; }  // of Add
  int64_t stale() const { return stale_; }      // results since the fastest one
  bool has_success() const { return !fastest_.empty(); }
  double Slope() const;

 private:
  int64_t known_ = 0;
  int64_t results_ = 0;
  int64_t successes_ = 0;
  int64_t stale_ = 0;
  std::vector<double> fastest_;  // logarithms of seconds, ascending; a few
};

// Which share of the best time `trials` more results are expected to save, in [0, 1), after
// `pending` ones that are on their way. Requires results > 0.
double ExpectedSaving(double slope, int64_t results, int64_t pending, int64_t trials);

}  // namespace tessera::tuner
