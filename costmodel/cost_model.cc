#include "costmodel/cost_model.h"

#include <cmath>

#include "base/status.h"
#include "costmodel/random_model.h"
#include "costmodel/xgboost_model.h"

namespace tessera::costmodel {

absl::StatusOr<std::unique_ptr<CostModel>> MakeCostModel(std::string_view name, uint64_t seed) {
  if (name == "xgboost") return std::make_unique<XgboostModel>(XgboostOptions{.seed = seed});
  if (name == "random") return std::make_unique<RandomModel>(seed);
  return absl::InvalidArgumentError(
      absl::StrCat("unknown cost model \"", std::string(name), "\"; known are xgboost and random"));
}

absl::Status CheckTrainingData(const TrainingData& data) {
  if (data.columns < 1 || data.rows.size() != data.labels.size() * data.columns) {
    return absl::InvalidArgumentError(absl::StrCat("training data: ", data.rows.size(),
                                                   " values for ", data.labels.size(), " rows of ",
                                                   data.columns, " columns"));
  }
  if (data.labels.empty()) return absl::InvalidArgumentError("training data: no rows");
  int64_t grouped = 0;
  for (int size : data.groups) grouped += size;
  if (!data.groups.empty() && grouped != static_cast<int64_t>(data.labels.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("training data: groups hold ", grouped, " of ", data.labels.size(), " rows"));
  }
  for (const std::vector<float>* values : {&data.rows, &data.labels}) {
    for (size_t i = 0; i < values->size(); ++i) {
      if (std::isfinite((*values)[i])) continue;
      return absl::InvalidArgumentError(absl::StrCat("training data: value ", i, " of the ",
                                                     values == &data.rows ? "rows" : "labels",
                                                     " is not finite"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::costmodel
