#include "tuner/model_store.h"

#include <map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "base/view.h"

namespace tessera::tuner {
namespace {

std::string Head(ModelOwner owner) {
  return absl::StrCat("model of job ", owner.job_id, ", task ", owner.task_index, "\n");
}

absl::StatusOr<std::shared_ptr<const Ranker>> Load(const Learner& learner, ModelOwner owner,
                                                   std::string_view bytes) {
  const std::string head = Head(owner);
  if (!bytes.starts_with(head)) return absl::DataLossError("the bytes are no model of this task");
  return learner.Load(bytes.substr(head.size()));
}

}  // namespace

absl::StatusOr<std::string> PutModel(db::Store& store, ModelOwner owner, std::string_view bytes) {
  return store.PutBlob(absl::StrCat(Head(owner), AbslView(bytes)));
}

absl::StatusOr<std::shared_ptr<const Ranker>> GetModel(db::Store& store, const Learner& learner,
                                                       ModelOwner owner, std::string_view digest) {
  absl::StatusOr<std::shared_ptr<const Ranker>> ranker;
  absl::StatusOr<std::string> bytes = store.GetBlob(digest);
  if (bytes.ok()) {
    ranker = Load(learner, owner, *bytes);
  } else if (absl::IsNotFound(bytes.status()) || absl::IsDataLoss(bytes.status())) {
    ranker = bytes.status();
  } else {
    // The store's trouble: the log must not be continued under a different state for its sake.
    return bytes.status();
  }
  if (ranker.ok()) return ranker;
  LogWarning(absl::StrCat("job ", owner.job_id, ", task ", owner.task_index, ": model ",
                          AbslView(digest),
                          " can't be used, it is trained anew: ", ranker.status().ToString()));
  return std::shared_ptr<const Ranker>();
}

void DropModels(db::Store& store, int64_t job_id) {
  const auto drop = [&]() -> absl::Status {
    TESSERA_ASSIGN_OR_RETURN(const std::vector<db::Event> events, store.ReadEvents(job_id, 0));
    std::map<int, std::string> latest;  // by task
    for (const db::Event& event : events) {
      if (event.kind == db::EventKind::kModelReady) latest[event.task_index] = event.model;
    }
    for (const auto& [task, digest] : latest) {
      TESSERA_RETURN_IF_ERROR(store.DropBlob(digest));
    }
    return absl::OkStatus();
  };
  if (const absl::Status status = drop(); !status.ok()) {
    LogWarning(absl::StrCat("job ", job_id, ": its models are not dropped: ", status.ToString()));
  }
}

}  // namespace tessera::tuner
