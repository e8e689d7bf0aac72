#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "db/record/store.h"
#include "tuner/cost_model_learner.h"
#include "tuner/prior.h"

namespace tessera::tuner {

// Returns the digest. `owner` is one job's alone: the bytes begin with it, so that the job can drop
// them without asking for others that know the same. Errors are the store's.
absl::StatusOr<std::string> PutPrior(db::Store& store, std::string_view owner, const Prior& prior);

// Of the rows of a job's programs (costmodel/features.h), which a model of other tasks must be of.
// InvalidArgument for targets that can't be read, or of which some are CPUs and some GPUs.
absl::StatusOr<int> FeatureVersionOf(const db::Job& job);

struct StoredPrior {
  std::shared_ptr<const Prior> prior;  // null: nothing is known
  SavedModel model;                    // of other tasks; empty: none
};
// Of a job that goes on, by Job.prior. What is gone, damaged or of another version is left out,
// with a warning in the log: a job goes on with less. Errors are the store's.
absl::StatusOr<StoredPrior> GetPrior(db::Store& store, const db::Job& job);

// For a job that has ended. A prior that stays costs only its room: trouble is a warning.
void DropPrior(db::Store& store, const db::Job& job);

}  // namespace tessera::tuner
