#include "costmodel/cost_model.h"

#include <cmath>
#include <utility>

#include "base/names.h"
#include "base/status.h"
#include "costmodel/draft.h"
#include "costmodel/ensemble_model.h"
#include "costmodel/random_model.h"
#include "costmodel/xgboost_model.h"

namespace tessera::costmodel {

absl::Span<const CostModelKind> CostModelKinds() {
  static constexpr CostModelKind kKinds[] = {
      {"autotvm", "boosted trees with the published parameters of AutoTVM: a baseline",
       MakeAutoTvmModel},
      {"draft", "arithmetic on operations and traffic, which needs no training", MakeDraftModel},
      {"ensemble", "regressions of resampled rows, which tell how far they disagree",
       MakeEnsembleModel},
      {"random", "a hash of the row, which knows nothing: a baseline", MakeRandomModel},
      {"regression", "boosted trees of the logarithm of throughput", MakeRegressionModel},
      {"xgboost", "the draft, corrected by boosted trees that put pairs of programs in order",
       MakeRankingModel},
  };
  return kKinds;
}

std::string CostModelNames() { return NamesOf(CostModelKinds()); }

absl::StatusOr<std::unique_ptr<CostModel>> MakeCostModel(std::string_view name, uint64_t seed) {
  for (const CostModelKind& kind : CostModelKinds()) {
    if (kind.name == name) return kind.make(seed);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cost model '", std::string(name), "' is not known; choose ", CostModelNames()));
}

std::vector<int> GroupsOf(const TrainingData& data) {
  return data.groups.empty() ? std::vector<int>{static_cast<int>(data.labels.size())} : data.groups;
}

TrainingData RowsOf(const TrainingData& data, size_t begin, size_t end) {
  const auto columns = static_cast<size_t>(data.columns);
  const auto rows =
      absl::MakeConstSpan(data.rows).subspan(begin * columns, (end - begin) * columns);
  const auto labels = absl::MakeConstSpan(data.labels).subspan(begin, end - begin);
  return {data.columns, {rows.begin(), rows.end()}, {labels.begin(), labels.end()}, {}, {}};
}

absl::Status CheckTrainingData(const TrainingData& data) {
  if (data.columns < 1 || data.rows.size() != data.labels.size() * data.columns) {
    return absl::InvalidArgumentError(absl::StrCat("training data: ", data.rows.size(),
                                                   " values for ", data.labels.size(), " rows of ",
                                                   data.columns, " columns"));
  }
  if (data.labels.empty()) return absl::InvalidArgumentError("training data: no rows");
  int64_t grouped = 0;
  for (const int size : data.groups) {
    if (size < 1) {
      return absl::InvalidArgumentError(absl::StrCat("training data: a group of ", size, " rows"));
    }
    grouped += size;
  }
  if (!data.groups.empty() && grouped != static_cast<int64_t>(data.labels.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("training data: groups hold ", grouped, " of ", data.labels.size(), " rows"));
  }
  if (!data.margins.empty() && data.margins.size() != data.labels.size()) {
    return absl::InvalidArgumentError(absl::StrCat("training data: ", data.margins.size(),
                                                   " margins for ", data.labels.size(), " rows"));
  }
  const std::pair<const char*, absl::Span<const float>> all[] = {
      {"rows", data.rows}, {"labels", data.labels}, {"margins", data.margins}};
  for (const auto& [name, values] : all) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i])) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("training data: value ", i, " of the ", name, " is not finite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::costmodel
