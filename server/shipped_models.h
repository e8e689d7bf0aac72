#pragma once

#include <string>

#include "absl/status/status.h"
#include "db/record/store.h"

namespace tessera::server {

// Stores each model file (tuner/model_file.h) of `folder` of whose name the store has no model. A
// file that can't be used is passed over with a warning in the log. OK where there is no such
// folder. Errors are the store's.
absl::Status ImportShippedModels(db::Store& store, const std::string& folder);

// Where they lie when `program` is installed: in share/tessera/models beside its folder.
std::string ShippedModelsFolder(const std::string& program);

}  // namespace tessera::server
