#include "server/model_times.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "proto/limits.h"
#include "server/model_measurer.h"
#include "server/selection.h"

namespace tessera::server {
namespace {

db::Selection WithDefaults(db::Selection selection) {
  for (db::SelectionItem& item : selection.items) {
    item = {.op = item.op, .task = item.task, .device_class = item.device_class};
  }
  selection.in_place.reset();
  return selection;
}

int64_t TrialsDone(const proto::JobProgress& progress) {
  int64_t done = 0;
  for (const proto::TaskProgress& task : progress.tasks) done += task.trials_done;
  return done;
}

// Whether there is a program to choose of each kernel that will have one.
bool AllAreMeasured(const proto::JobProgress& progress) {
  return std::ranges::all_of(progress.tasks, [](const proto::TaskProgress& task) {
    return task.best_seconds > 0 || task.done;
  });
}

}  // namespace

std::optional<proto::ModelTime> ModelTimes::Latest(int64_t job) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = latest_.find(job);
  if (found == latest_.end()) return std::nullopt;
  return found->second;
}

void ModelTimes::Watch(const std::vector<int64_t>& running) {
  std::erase_if(watched_,
                [&](const auto& one) { return !std::ranges::binary_search(running, one.first); });
  for (const int64_t id : running) {
    if (watched_.contains(id)) continue;
    absl::StatusOr<db::Job> job = room_.store.GetJob(id);
    if (!job.ok()) continue;  // the next time
    job->tasks.clear();
    watched_[id] = {*std::move(job), clock_.Now() + options_.pause};
  }
}

std::optional<proto::JobProgress> ModelTimes::FindDue() {
  const absl::Time now = clock_.Now();
  if (now < next_) return std::nullopt;
  std::optional<proto::JobProgress> found;
  absl::Time earliest = now;
  for (const auto& [id, watched] : watched_) {
    if (watched.job.selection == 0 || watched.due > earliest) continue;
    absl::StatusOr<proto::JobProgress> progress = jobs_.Progress(id);
    if (!progress.ok() || !AllAreMeasured(*progress)) continue;
    found = *std::move(progress);
    earliest = watched.due;
  }
  return found;
}

void ModelTimes::Tend(const std::function<bool()>& is_stopping) {
  Watch(jobs_.Running());
  const std::optional<proto::JobProgress> progress = FindDue();
  if (!progress) return;
  const int64_t id = progress->job_id;
  const absl::Time began = clock_.Now();
  absl::StatusOr<proto::ModelTime> time = Measure(watched_.at(id).job, [&] {
    return is_stopping() || !std::ranges::binary_search(jobs_.Running(), id);
  });
  if (time.ok()) time->trials = TrialsDone(*progress);
  const absl::Time ended = clock_.Now();
  const absl::Duration took =
      absl::IsCancelled(time.status()) ? absl::ZeroDuration() : ended - began;
  next_ = ended + std::max(options_.pause_times * took, options_.pause);
  Finish(id, time);
}

void ModelTimes::Finish(int64_t job, const absl::StatusOr<proto::ModelTime>& time) {
  Watched& watched = watched_.at(job);
  watched.due = next_;
  if (time.ok()) {
    const absl::MutexLock lock(&mutex_);
    latest_[job] = *time;
    return;
  }
  const std::string failure(time.status().message());
  if (absl::IsCancelled(time.status()) || failure == watched.failure) return;
  watched.failure = failure;
  LogWarning(absl::StrCat("job ", job, ": its model is not measured: ", failure));
}

absl::StatusOr<proto::ModelTime> ModelTimes::Measure(const db::Job& job,
                                                     const std::function<bool()>& is_cancelled) {
  TESSERA_ASSIGN_OR_RETURN(const db::Selection selection, room_.store.GetSelection(job.selection));
  const db::Selection defaults = WithDefaults(selection);
  TESSERA_ASSIGN_OR_RETURN(const db::Selection chosen,
                           ChooseRecords(room_.store, defaults, is_cancelled, job.options.allow));
  const std::function<void(std::string_view)> doing = [](std::string_view) {};
  ModelMeasurer measurer(room_, doing, is_cancelled);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<Timed> times, measurer.Measure({{chosen, defaults}}));
  if (std::isinf(times[0].seconds)) {
    return absl::FailedPreconditionError(measurer.failure());
  }
  const double defaults_seconds = std::isfinite(times[1].seconds) ? times[1].seconds : 0;
  // Of several buckets sums, which no field of a message bounds.
  return proto::ModelTime{.seconds = std::min(times[0].seconds, proto::kMaxSeconds),
                          .default_seconds = std::min(defaults_seconds, proto::kMaxSeconds)};
}

}  // namespace tessera::server
