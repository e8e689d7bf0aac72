#pragma once

#include <functional>
#include <optional>

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

// Channels of a block for a target: as many as a vector has numbers of 32 bits. 1: a target for
// which all values stay row-major, as of GPUs and VTA.
int64_t ChannelBlock(const ir::Target& target);

// `layout` of a shape [n, c, …] in blocks of channels, which have to divide c: [n, c/b, …, b].
std::vector<ir::LayoutDim> BlockedChannels(const std::vector<int64_t>& shape, int64_t block);

// The same graph with values of floats between kernels, of three to five dimensions, in blocks of
// channels where all kernels together are then faster: by their known seconds, else by an estimate
// of what blocks gain in convolutions and windows, and of what bytes cost that are read in one
// layout and written in the other. Inputs, constants and outputs are stored as they were, and so is
// what has a layout already.
absl::StatusOr<Graph> ChooseLayouts(const Graph& graph, const ir::Target& target,
                                    const KnownSeconds& known = nullptr);

// What a model becomes for a target: MakePlan of these layouts. Tasks of a plan are those of
// another only where the targets have the same ChannelBlock.
absl::StatusOr<Plan> PlanModel(const Graph& graph, const ir::Target& target,
                               const KnownSeconds& known = nullptr);

}  // namespace tessera::graph
