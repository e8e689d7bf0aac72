#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/rng.h"
#include "tuner/learner.h"
#include "tuner/search_space.h"

namespace tessera::tuner {

// A point with its predicted rank: higher is better, comparable within one pool only.
struct Candidate {
  Point point;
  float score = 0;
};

// A finished trial, as the log tells it.
struct Observation {
  const Point& point;
  bool ok;
  double cost_seconds;  // infinity unless ok
  double budget_share;  // finished trials of the task ÷ its budget, in [0, 1]
};

// What an explorer may look at when it proposes.
struct TaskView {
  const SearchSpace& space;
  const Ranker* ranker;                               // null before the first model
  absl::Span<const Point> elites;                     // fastest measured points, fastest first
  const absl::flat_hash_set<uint64_t>& known_points;  // HashPoint of everything proposed so far
};

// One search strategy for one task. Its state is folded from the log: the same observations in the
// same order and the same random streams give the same proposals. Thread-compatible.
class Explorer {
 public:
  virtual ~Explorer() = default;
  virtual std::string_view Name() const = 0;
  // Whether it profits from a model; otherwise none is trained.
  virtual bool UsesModel() const = 0;
  virtual void Observe(const Observation& observation, Rng rng) = 0;
  // Up to `count` distinct points outside known_points, best first. Fewer or none if it finds no
  // more.
  virtual std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const = 0;
};

// "annealing": persistent parallel simulated-annealing chains whose local walks the model scores.
// "random": uniform samples. Anything else is InvalidArgument.
absl::StatusOr<std::unique_ptr<Explorer>> MakeExplorer(std::string_view name);

std::unique_ptr<Explorer> MakeRandomExplorer();
std::unique_ptr<Explorer> MakeAnnealingExplorer();

}  // namespace tessera::tuner
