#pragma once

#include <vector>

#include "absl/types/span.h"

namespace tessera::tuner {

// Sketches that compute less than the fastest one, by another algorithm, and may win although their
// first programs were slow: a model ranks what it has seen, and search settles early without them.
// A function of the order of calls. Thread-compatible.
class Contenders {
 public:
  // What programs of each sketch compute, as SearchSpace::SketchWork; empty: none contends.
  explicit Contenders(absl::Span<const double> work) : sketches_(work.size()) {
    for (size_t i = 0; i < work.size(); ++i) sketches_[i].work = work[i];
  }

  // A trial was proposed, by a search that gives Next() its share if `searched`; one was measured.
  // Other sketches than the known are ignored.
  void Proposed(int sketch, bool searched);
  void Measured(int sketch, double cost_seconds);
  // What was measured is to be said again: it costs something else now.
  void ForgetMeasured();

  // Of the sketches that would be faster than the best if they came as near to the machine's limit
  // as the fastest of all, the one that had the fewest trials; -1 if there is none. One that many
  // searched trials in a row passed over has no new programs and is none any more.
  int Next() const;

 private:
  struct Sketch {
    double work = 0;
    int trials = 0;
    int passed_over = 0;      // since its last trial, while it was next
    double best_seconds = 0;  // 0: none was measured
  };
  std::vector<Sketch> sketches_;
};

}  // namespace tessera::tuner
