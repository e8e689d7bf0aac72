#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/stmt.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"

namespace tessera::passes {

// Inputs, then outputs: as the workload declares them, in the layouts that the schedule chose.
std::vector<ir::Buffer> MakeParameters(const schedule::Schedule& schedule);

// The loop nests of a bounded schedule. Requires `loops` = InferBounds(schedule).
// Ensures: indices are logical, one per dimension; every computed position outside its axis and
// every tap on padding is behind an If around its Store; loop kinds are as scheduled; buffers of
// attached stages hold their region only. Parameters are those of MakeParameters, then what
// BuildPreparation makes. InvalidArgument where something is doubled that no block shares, or what
// has one dimension is not in order.
absl::StatusOr<ir::Program> BuildLoops(const schedule::Schedule& schedule,
                                       const schedule::LoopStructure& loops, std::string name);

// The nests of the stages that are computed once, when constants are packed
// (BoundStage::is_constant), with the same parameters; other inputs and outputs are not touched.
absl::StatusOr<ir::Program> BuildPreparation(const schedule::Schedule& schedule,
                                             const schedule::LoopStructure& loops,
                                             std::string name);

}  // namespace tessera::passes
