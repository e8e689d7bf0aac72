#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tuner/replay/table_space.h"

// How well a model that was trained on some data sets ranks the programs of others.

namespace tessera::replay {

struct NamedTable {
  std::string name;
  std::shared_ptr<const TableSpace> table;
};

// What a data set and those that its model is trained on have different.
enum class HoldOut : uint8_t {
  kWorkload,  // the workload, whatever the device class
  kKind,      // the kind of workload: the reductions that it is made of
  kClass      // the device class or the number of threads, whatever the workload
};
std::string_view ToString(HoldOut hold_out);  // "workload", "kind", "class"
absl::StatusOr<HoldOut> ParseHoldOut(std::string_view text);

// "sum 4/3": combiner, axes and axes summed over of each reduction, in their order; "map" where
// there is none. InvalidArgument for what is no workload.
absl::StatusOr<std::string> KindOf(std::string_view workload);

struct RankingOptions {
  std::string cost_model = "xgboost";  // that is trained on the other data sets
  HoldOut hold_out = HoldOut::kWorkload;
  std::vector<int> target_rows = {0, 32, 128};  // of the judged data set, to learn from as well
  int draws = 5;                                // of them, by seeds from 0
  int max_rows = 2000;                          // of a data set, drawn at random
  std::vector<NamedTable> others;               // to learn from, not to be judged
};

// Of one data set by one method, the means over the draws (costmodel/metrics.h).
struct Ranking {
  std::string data;
  std::string cost_model;  // that was trained on the others
  std::string method;      // "transfer", "own" (its own rows alone), "draft" (no training at all)
  int target_rows = 0;
  int trained_on = 0;  // other data sets
  double pairs = 0, top1 = 0, top5 = 0;
};

// Each data set judged by a model of all, and of the others, that differ from it in what is held
// out. Its own rows correct that model (costmodel::PriorModel), or train "xgboost" alone; programs
// that were learned from are not judged. InvalidArgument when a data set has nothing to learn from
// or too few rows, or when some are of CPUs and some of GPUs or VTA. Calls `done` with what is
// known of each data set. A function of its arguments.
absl::StatusOr<std::vector<Ranking>> RankTables(
    absl::Span<const NamedTable> tables, const RankingOptions& options,
    const std::function<void(absl::Span<const Ranking>)>& done);

// Over the data sets, of each cost model, method and number of rows, in the order of their first.
struct RankingMeans {
  std::string cost_model, method;
  int target_rows = 0;
  double pairs = 0, top1 = 0, top5 = 0;
  double least_pairs = 1;  // of any data set
};
std::vector<RankingMeans> MeansOf(absl::Span<const Ranking> rankings);

// A row for each ranking. docs/replay.md describes the columns.
std::string RankingCsv(absl::Span<const Ranking> rankings, HoldOut hold_out);

}  // namespace tessera::replay
