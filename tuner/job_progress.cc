// What a job says of itself while it goes on.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tuner/job_runner.h"

namespace tessera::tuner {
namespace {

constexpr size_t kNamedTasks = 3;  // in a message

}  // namespace

void JobRunner::Publish() {
  auto progress = std::make_shared<JobProgress>();
  progress->job_id = job_.id;
  progress->revision = ++revision_;
  progress->state = job_.state;
  progress->message = job_.message;
  progress->stalled = stalled_;
  if (stalled_) {
    progress->message = absl::StrCat("waits for the server's database, and goes on by itself: ",
                                     store_trouble_.message());
  }
  progress->starved = !missing_devices_.empty() && !ended_ && !stalled_;
  if (progress->starved) progress->message = absl::StrCat("waits: ", missing_devices_);
  int64_t left = state_.budget().LeftOfJob();
  std::vector<std::string> comparing;
  for (int t = 0; t < state_.task_count(); ++t) {
    const TaskSummary& task = state_.task(t);
    progress->tasks.push_back({job_.tasks[t].name, state_.budget().Allotted(t), task.proposed,
                               runs_[t].in_flight, task.finished,
                               task.done && (task.pending == 0 || ended_), task.end_reason,
                               task.best_seconds, job_.tasks[t].weight, task.best_record_id,
                               task.outcomes, !task.model.empty(), task.promoted});
    if (runs_[t].comparing) comparing.push_back(job_.tasks[t].name);
    if (!ended_) left += task.pending;
  }
  if (!comparing.empty() && !ended_ && progress->message.empty()) {
    const size_t others = comparing.size() - std::min(comparing.size(), kNamedTasks);
    comparing.resize(comparing.size() - others);
    progress->message =
        absl::StrCat("compares the fastest programs of ", absl::StrJoin(comparing, ", "),
                     others > 0 ? absl::StrCat(" and ", others, " more") : "", " with each other");
  } else if (!ended_ && progress->message.empty()) {
    progress->message = NotCompared();
  }
  const absl::Time now = parts_.clock.Now();
  published_ = now;
  changed_ = false;
  if (recent_results_.size() > 1) {
    const double window = absl::ToDoubleSeconds(now - recent_results_.front());
    if (window > 0) {
      progress->trials_per_second = static_cast<double>(recent_results_.size() - 1) / window;
      // How long devices stay away is not known.
      if (!progress->starved) {
        progress->eta_seconds = static_cast<double>(left) / progress->trials_per_second;
      }
    }
  }
  if (left == 0) progress->eta_seconds = 0;
  progress->runners = parts_.measurer.RunnerTimes(job_.id);
  absl::MutexLock lock(&progress_mutex_);
  progress_ = std::move(progress);
}

}  // namespace tessera::tuner
