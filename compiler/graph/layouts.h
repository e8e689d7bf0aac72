#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/graph/graph.h"
#include "compiler/graph/plan.h"
#include "compiler/ir/target.h"
#include "compiler/te/dag.h"

// How the values between kernels are stored (docs/graph.md, decision 0030).

namespace tessera::graph {

// Seconds that a kernel takes, where they are known: measured by somebody. The workload's inputs
// and output are stored as it would have them.
using KnownSeconds = std::function<std::optional<double>(const te::Workload& workload)>;

// What becomes of kernels of which no time is known.
enum class Unmeasured : uint8_t {
  kTuned,     // they are about to be tuned
  kAsTheyAre  // they run their default schedules
};

struct LayoutChoice {
  Graph graph;
  int values = 0, blocked = 0;  // that can be in blocks, and that are
  // By known seconds: values that are stored otherwise than by the estimate, what the kernels take
  // that read or write one of them, and what they would by the estimate's choice. 0: not all of
  // them are known, or nothing changed.
  int changed = 0;
  double seconds = 0, estimated_seconds = 0;
};

// Channels of a block for a target: as many as a vector has numbers of 32 bits. 1: a target for
// which all values stay row-major, as of GPUs and VTA.
int64_t ChannelBlock(const ir::Target& target);

// `layout` of a shape [n, c, …] in blocks of channels, which have to divide c: [n, c/b, …, b].
std::vector<ir::LayoutDim> BlockedChannels(const std::vector<int64_t>& shape, int64_t block);

// The same graph with values of floats between kernels, of three to five dimensions, in blocks of
// channels where all kernels together are then faster by an estimate of what blocks gain in
// convolutions and windows, and of what bytes cost that are read in one layout and written in the
// other. Inputs, constants and outputs are stored as they were, and so is what has a layout
// already. Where seconds are known, values are stored otherwise if the known seconds of all kernels
// that this changes are clearly less (decision 0036), and never so that kernels run unmeasured
// which were measured as the estimate has them; as they were measured where `unmeasured` are not
// tuned.
absl::StatusOr<LayoutChoice> ChooseLayouts(const Graph& graph, const ir::Target& target,
                                           const KnownSeconds& known, Unmeasured unmeasured);
// The graph alone, of what is about to be tuned.
absl::StatusOr<Graph> ChooseLayouts(const Graph& graph, const ir::Target& target,
                                    const KnownSeconds& known = nullptr);

// Another layout of some values than the one that is chosen.
struct RivalLayouts {
  std::vector<te::Workload> kernels;  // as it has them, each kind once
  std::vector<te::Workload> chosen;   // those that it has not
  // What a run of the graph would gain at most, were the estimate of `kernels` too long by
  // three tenths.
  double stake_seconds = 0;
};
// Those that may be faster if the estimate is off, the largest stake first: of each value's other
// layout than is chosen to be tuned, with what around it is no worse for it by estimate. Rivals of
// the same kernels are one; those of which all seconds are known are decided, and left out.
absl::StatusOr<std::vector<RivalLayouts>> FindRivalLayouts(const Graph& graph,
                                                           const ir::Target& target,
                                                           const KnownSeconds& known = nullptr);

// What a model becomes for a target: MakePlan of these layouts. Tasks of a plan are those of
// another only where the targets have the same ChannelBlock.
absl::StatusOr<Plan> PlanModel(const Graph& graph, const ir::Target& target,
                               const KnownSeconds& known = nullptr);

}  // namespace tessera::graph
