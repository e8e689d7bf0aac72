#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "compiler/ir/target.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "schedule_space/config_space.h"

// Features of a program, from its loop structure alone: before vectors and unrolled bodies are
// expanded. docs/features.md explains each group. Groups after Ansor (2006.06762, appendix) and
// AutoTVM's relation features (1805.08166 §5.1).

namespace tessera::costmodel {

// Raised whenever the meaning or order of a feature changes; a model trained on one version
// refuses rows of another.
constexpr int kFeatureVersion = 3;

// Unique, in row order.
const std::vector<std::string>& FeatureNames();
int FeatureCount();

// Writes the row of a program into `row`, which holds FeatureCount() values: counts, bytes and
// extents as log2(1 + x), ratios and flags as they are, all finite. Equal for equal structures.
// Requires `loops` = InferBounds(schedule). Thread-safe.
void ExtractFeatures(const schedule::Schedule& schedule, const schedule::LoopStructure& loops,
                     const ir::Target& target, absl::Span<float> row);

// [configs × FeatureCount()], row-major, of valid configs of `space`. Thread-safe.
absl::StatusOr<std::vector<float>> ConfigFeatures(const space::ConfigSpace& space,
                                                  absl::Span<const space::Config> configs);

}  // namespace tessera::costmodel
