#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/rng.h"
#include "tuner/batch.h"
#include "tuner/contenders.h"
#include "tuner/explorer.h"

namespace tessera::tuner {

struct Proposal {
  std::string config;
  std::string trace;
  uint64_t loop_hash = 0;
  std::string
      explorer;  // "default", a name below, a library's, or who of the explorers proposed it
};

// Who proposed what no explorer did: a plain sample; one of a family (families.h) with few trials,
// which the space's estimate or the ranker preferred; a fast program of a near task.
inline constexpr std::string_view kRandom = "random", kDraft = "draft", kFamily = "family",
                                  kNearTask = "near-task";
inline bool IsOfExplorer(std::string_view proposed_by) {
  return proposed_by != kRandom && proposed_by != kDraft && proposed_by != kFamily &&
         proposed_by != kNearTask;
}

// How proposals are made.
struct ProposalOptions {
  double epsilon = 0.08;  // share of little tried families beside what a model ranks best
  int pool_factor = 4;    // candidates that a batch is chosen from, a proposal
  BatchOptions batch;
};

// What the log says about a task, as far as its next proposals depend on it.
struct ProposalView {
  const Explorer& explorer;
  TaskView task;
  const Contenders& contenders;
  absl::Span<const Point> in_flight;           // proposed, without a result
  int proposed;                                // so far
  absl::Span<const Point> of_near_tasks = {};  // the most promising first
  bool ranks_by_prior = false;                 // the ranker is of other tasks
};

// The default schedule first of all, unless its program is known; then what libraries of others
// compute, where that is new; then the points of near tasks;
// then what the explorer finds: all that it has if it uses no model or plans, otherwise diverse
// batches of its best, with a share for sketches that contend and ε's of samples of little tried
// families. Samples that the space's draft prefers, family by family, come before the first model
// of an explorer that uses one and does not plan, and where that is a model of other tasks, as the
// first batch of programs that are not of near tasks, and as ε's share. Random samples take the
// place of what none of these finds. At most `count`, all of new loop hashes; none when the space
// has run dry: neither samples nor 16,384 points in a row are new. A function of its arguments.
// Errors are those of the space.
absl::StatusOr<std::vector<Proposal>> ProposeBatch(const ProposalView& view, int count,
                                                   const ProposalOptions& options, Rng& rng);

}  // namespace tessera::tuner
