#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "costmodel/cost_model.h"

namespace tessera::tuner {

// A trained model. Immutable and thread-safe.
class Ranker {
 public:
  virtual ~Ranker() = default;
  // One score a row, higher = expected to be faster. `rows` is [n × columns], row-major, of the
  // columns that it was trained on. The same bytes and rows give the same scores, bit for bit, on
  // one machine.
  virtual std::vector<float> Score(absl::Span<const float> rows, int columns) const = 0;
  // The same scores, with how far they may be off where the model tells.
  virtual costmodel::Scores ScoreWithDeviation(absl::Span<const float> rows, int columns) const {
    return {Score(rows, columns), {}};
  }
  // Whether what other tasks taught is part of it (Learner::Prior).
  virtual bool BuildsOnPrior() const { return false; }
};

struct TrainingSet {
  int columns = 0;
  std::vector<float> rows;     // [targets × columns], row-major
  std::vector<float> targets;  // throughput relative to the best of the task, (0, 1]; failures 0
  // So many, the first, were measured before the job: what it begins with may know them already.
  size_t known = 0;
};

// Trains and loads models. Thread-safe: fits run beside the search.
class Learner {
 public:
  virtual ~Learner() = default;
  // Returns the trained model's bytes: a function of the set alone, of bounded size.
  virtual absl::StatusOr<std::string> Fit(const TrainingSet& set) const = 0;
  // DataLoss or FailedPrecondition for bytes that this build can't read.
  virtual absl::StatusOr<std::shared_ptr<const Ranker>> Load(std::string_view bytes) const = 0;
  // What ranks before the first fit: a model of other tasks. Null where there is none.
  virtual std::shared_ptr<const Ranker> Prior() const { return nullptr; }
};

}  // namespace tessera::tuner
