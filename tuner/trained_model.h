#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "costmodel/cost_model.h"
#include "db/record/record.h"
#include "db/record/store.h"

namespace tessera::tuner {

// The model that `bytes` are, ready to predict. InvalidArgument: an unknown kind, or bytes with
// another digest than `info` has; FailedPrecondition: of another format, feature version
// or number of columns than programs have; DataLoss: damaged.
absl::StatusOr<std::unique_ptr<const costmodel::CostModel>> ReadModel(const db::ModelInfo& info,
                                                                      std::string_view bytes);

// Keeps a model that can be read so. Errors as of ReadModel and db::Store::PutModel.
absl::Status StoreModel(db::Store& store, const db::ModelInfo& info, std::string_view bytes);

}  // namespace tessera::tuner
