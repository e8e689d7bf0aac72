#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "db/record/store.h"
#include "tuner/learner.h"

namespace tessera::tuner {

// Whose model a blob is. Blobs are content-addressed and models of two tasks may be equal: their
// bytes begin with the owner, so that each can be dropped without asking for the other.
struct ModelOwner {
  int64_t job_id = 0;
  int task_index = 0;
};

// Returns the digest. Errors are the store's.
absl::StatusOr<std::string> PutModel(db::Store& store, ModelOwner owner, std::string_view bytes);

// Null, with a warning in the log, for a model that is gone, damaged or of another version: that
// costs one fit, not the job. Errors are the store's.
absl::StatusOr<std::shared_ptr<const Ranker>> GetModel(db::Store& store, const Learner& learner,
                                                       ModelOwner owner, std::string_view digest);

// Those that the log of a job names, for one that ended without a runner. A model that stays
// costs only its room: trouble is a warning.
void DropModels(db::Store& store, int64_t job_id);

}  // namespace tessera::tuner
