#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "costmodel/cost_model.h"

// What stands before the trees of a saved model: the format, which model it is, the version of the
// features that it was trained on (FeatureVersionOfRows) and how many there are.

namespace tessera::costmodel {

constexpr int kModelFormat = 5;

std::string ModelHead(std::string_view name, int columns);

struct ModelBody {
  int columns = 0;
  std::string_view bytes;  // what follows the head
};
// FailedPrecondition for another format, another model than `name` or rows that are described
// otherwise now; DataLoss for what is no model.
absl::StatusOr<ModelBody> ReadModelHead(std::string_view name, std::string_view bytes);

// How many columns rows of programs have, for errors: "161 (CPUs), 182 (GPUs) or 70 (VTA)".
std::string ProgramColumns();
// And their versions: "4 (CPUs), 6 (GPUs) or 7 (VTA)".
std::string ProgramFeatures();

// Loads what is to predict programs whose rows are of `feature_version`: bytes that anybody may
// have made. Besides the errors of Load, FailedPrecondition for a model of other rows. The model
// is unchanged then.
absl::Status LoadOfPrograms(CostModel& model, int feature_version, std::string_view bytes);

}  // namespace tessera::costmodel
