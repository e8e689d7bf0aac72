#pragma once

#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "tuner/explorer.h"

// What explorers share that search on predicted scores.

namespace tessera::tuner {

// One predicted score a point; empty if the features can't be had. Requires a ranker.
std::vector<float> ScorePoints(const TaskView& view, absl::Span<const Point> points);

// The unknown points that a search has come by.
class Visited {
 public:
  explicit Visited(const TaskView& view) : known_(view.known_points) {}

  // Ignores known points and those that were added before, and everything without scores.
  void Add(absl::Span<const Point> points, absl::Span<const float> scores);
  // At most `count`, best first; a hash of the point breaks ties.
  std::vector<Candidate> Best(int count) &&;

 private:
  const absl::flat_hash_set<uint64_t>& known_;
  absl::flat_hash_set<uint64_t> added_;
  std::vector<std::pair<uint64_t, Candidate>> candidates_;
};

}  // namespace tessera::tuner
