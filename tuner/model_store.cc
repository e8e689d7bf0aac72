#include "tuner/model_store.h"

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
  const absl::StatusOr<std::vector<db::Event>> events = store.ReadEvents(job_id, 0);
  absl::Status status = events.status();
  for (size_t i = 0; events.ok() && i < events->size(); ++i) {
    const db::Event& event = (*events)[i];
    if (event.kind == db::EventKind::kModelReady) status.Update(store.DropBlob(event.model));
  }
  if (!status.ok()) {
    LogWarning(absl::StrCat("job ", job_id, ": models not dropped: ", status.ToString()));
  }
}

}  // namespace tessera::tuner
