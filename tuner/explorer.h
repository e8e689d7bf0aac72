#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/rng.h"
#include "tuner/examples.h"
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
  double cost_seconds;         // infinity unless ok
  double budget_share;         // finished trials of the task ÷ its budget, in [0, 1]
  std::string_view explorer;   // who proposed it
  double best_before_seconds;  // of the task; infinity before the first success
};

// What an explorer may look at.
struct TaskView {
  const SearchSpace& space;
  const Ranker* ranker;                                 // null for explorers that use none
  const Examples& examples;                             // measured points
  const absl::flat_hash_set<uint64_t>& known_points;    // HashPoint of everything proposed so far
  const absl::flat_hash_set<uint64_t>& known_programs;  // and its loop hashes
};

class Explorer;

// Of the next proposals so many are to be what `explorer` finds.
struct Share {
  const Explorer& explorer;
  int count;
};

// One search strategy for one task. Its state is folded from the log: the same observations in the
// same order and the same random streams give the same proposals. Thread-compatible.
class Explorer {
 public:
  virtual ~Explorer() = default;
  virtual std::string_view Name() const = 0;
  // Whether it ranks by a model; otherwise none is trained, and what it finds is proposed as it is.
  virtual bool UsesModel() const = 0;
  // How many proposals it plans at once; 0: any number, whenever there is room for them. One that
  // plans is asked when every result of its last plan is in and the model has learned from them,
  // and what it finds is proposed as it is.
  virtual int PlanSize() const { return 0; }
  // The view has no ranker.
  virtual void Observe(const TaskView& view, const Observation& observation, Rng rng) = 0;
  // Up to `count` distinct points outside known_points, best first. Fewer or none if it finds no
  // more. Requires to be one of the explorers of Shares().
  virtual std::vector<Candidate> Explore(const TaskView& view, int count, Rng& rng) const = 0;
  // Who finds the next `count` proposals. The explorers are this one or parts of it.
  virtual std::vector<Share> Shares(int count, Rng&) const { return {{*this, count}}; }
};

// What a job may ask for, by name in alphabetic order: errors, the command line's help and
// docs/search.md say the same.
struct ExplorerKind {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Explorer> (*make)();
};
absl::Span<const ExplorerKind> ExplorerKinds();
// "a, b or c".
std::string ExplorerNames();

// InvalidArgument for another name, with the known ones.
absl::StatusOr<std::unique_ptr<Explorer>> MakeExplorer(std::string_view name);

std::unique_ptr<Explorer> MakeRandomExplorer();
std::unique_ptr<Explorer> MakeGridExplorer();
std::unique_ptr<Explorer> MakeAnnealingExplorer();
std::unique_ptr<Explorer> MakeAutoTvmExplorer();
std::unique_ptr<Explorer> MakeEvolutionExplorer();
std::unique_ptr<Explorer> MakeDescentExplorer();
std::unique_ptr<Explorer> MakeRlExplorer();
// Shares the proposals among its members by what they earned. They use models. It explores nothing
// itself.
std::unique_ptr<Explorer> MakePortfolioExplorer(std::vector<std::unique_ptr<Explorer>> members);

}  // namespace tessera::tuner
