#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tuner/task_programs.h"

// Cost models of many tasks: what is known of a task before anything of it was measured.

namespace tessera::tuner {

struct TrainOptions {
  std::string cost_model = "xgboost";  // costmodel/cost_model.h lists them
  uint64_t seed = 0;
  // The workloads are dealt into so many parts, each judged by a model that was trained on the
  // others; below 2, or of a single workload, nothing is judged.
  int folds = 5;
};

// How a model that never saw a group's workload, on no device class, ranks its programs
// (costmodel/metrics.h).
struct GroupQuality {
  size_t group = 0;  // of ProgramSet::groups
  double pairwise_accuracy = 0;
  double top1 = 0, top5 = 0;
};

struct TrainedModel {
  std::string bytes;                   // CostModel::Save of the one that was trained on everything
  std::vector<GroupQuality> held_out;  // by group; of kMinJudged programs or more
  double pairwise_accuracy = -1, top1 = -1, top5 = -1;  // their means; negative: none
};

// Of fewer, five at the top are too many to tell anything.
inline constexpr int kMinJudged = 16;

// Deterministic: the same programs and options give the same bytes. `progress` hears what comes
// next, in a few words. InvalidArgument for an unknown cost model or without any group.
absl::StatusOr<TrainedModel> Train(const ProgramSet& programs, const TrainOptions& options,
                                   const std::function<void(std::string_view)>& progress);

}  // namespace tessera::tuner
