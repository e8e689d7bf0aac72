#include "tuner/prior_store.h"

#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/ir/target.h"
#include "costmodel/cost_model.h"
#include "costmodel/features.h"
#include "costmodel/model_format.h"

namespace tessera::tuner {
namespace {

// What becomes of a status that is not the store's trouble: a warning, and OK.
absl::Status Excuse(const db::Job& job, std::string_view what, const absl::Status& status) {
  if (!absl::IsNotFound(status) && !absl::IsDataLoss(status) &&
      !absl::IsFailedPrecondition(status) && !absl::IsInvalidArgument(status)) {
    return status;
  }
  LogWarning(absl::StrCat("job ", job.id, ": ", AbslView(what),
                          " can't be used, the job goes on without: ", status.ToString()));
  return absl::OkStatus();
}

// After the owner's line.
absl::StatusOr<Prior> ParseOwned(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  return ParsePrior(end == std::string_view::npos ? bytes : bytes.substr(end + 1));
}

absl::StatusOr<SavedModel> ModelOf(db::Store& store, const db::Job& job, const Prior& prior) {
  TESSERA_ASSIGN_OR_RETURN(const int version, FeatureVersionOf(job));
  TESSERA_ASSIGN_OR_RETURN(const auto model,
                           costmodel::MakeCostModel(prior.cost_model, /*seed=*/0));
  TESSERA_ASSIGN_OR_RETURN(std::string bytes, store.GetBlob(prior.model));
  TESSERA_RETURN_IF_ERROR(costmodel::LoadOfPrograms(*model, version, bytes));
  return SavedModel{prior.cost_model, std::move(bytes)};
}

}  // namespace

absl::StatusOr<int> FeatureVersionOf(const db::Job& job) {
  std::optional<int> version;
  for (const db::Task& task : job.tasks) {
    TESSERA_ASSIGN_OR_RETURN(const ir::Target target, ir::ParseTarget(task.target));
    const int of_task = costmodel::FeatureVersion(target.kind);
    if (version.value_or(of_task) != of_task) {
      return absl::InvalidArgumentError(
          "job: its tasks are for devices of several kinds (CPUs, GPUs, VTA)");
    }
    version = of_task;
  }
  return version.value_or(0);
}

absl::StatusOr<std::string> PutPrior(db::Store& store, std::string_view owner, const Prior& prior) {
  return store.PutBlob(absl::StrCat(AbslView(owner), "\n", Print(prior)));
}

absl::StatusOr<StoredPrior> GetPrior(db::Store& store, const db::Job& job) {
  StoredPrior stored;
  if (job.prior.empty() || db::HasEnded(job.state)) return stored;
  const absl::StatusOr<std::string> bytes = store.GetBlob(job.prior);
  absl::StatusOr<Prior> prior = bytes.ok() ? ParseOwned(*bytes) : bytes.status();
  if (prior.ok() && prior->tasks.size() != job.tasks.size()) {
    prior = absl::DataLossError("prior: it is of another job");
  }
  if (!prior.ok()) {
    TESSERA_RETURN_IF_ERROR(Excuse(job, "what was known before it", prior.status()));
    return stored;
  }
  if (!prior->model.empty()) {
    absl::StatusOr<SavedModel> model = ModelOf(store, job, *prior);
    if (model.ok()) {
      stored.model = *std::move(model);
    } else {
      TESSERA_RETURN_IF_ERROR(Excuse(job, absl::StrCat("model ", prior->model), model.status()));
    }
  }
  stored.prior = std::make_shared<const Prior>(*std::move(prior));
  return stored;
}

void DropPrior(db::Store& store, const db::Job& job) {
  if (job.prior.empty()) return;
  if (absl::Status status = store.DropBlob(job.prior); !status.ok()) {
    LogWarning(
        absl::StrCat("job ", job.id, ": prior ", job.prior, " not dropped: ", status.ToString()));
  }
}

}  // namespace tessera::tuner
