// How a job has the fastest programs of a task compared whose budget is used up.

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "tuner/job_runner.h"
#include "tuner/promotion.h"

namespace tessera::tuner {
namespace {

// Among which a job that goes on looks for its own.
constexpr int kRecentComparisons = 256;

}  // namespace

absl::StatusOr<bool> JobRunner::CompareFastest(int task_index) {
  TaskRun& run = runs_[task_index];
  const TaskSummary& task = state_.task(task_index);
  const int rivals = state_.options().rivals;
  if (run.comparing || run.contested || task.promoted != 0 || task.best_trial < 0 || rivals == 0) {
    return run.comparing;
  }
  const std::string key = job_.tasks[task_index].Key();
  ComparisonRequest request;
  const auto choose = [&]() -> absl::Status {
    // Of devices that the job has: the log may know faster ones.
    TESSERA_ASSIGN_OR_RETURN(const db::Record best,
                             db::GetRecord(parts_.store, task.best_record_id, key));
    request.device_class = best.device_class;
    TESSERA_ASSIGN_OR_RETURN(std::optional<db::Comparison> unlogged,
                             FindUnlogged(key, request.device_class));
    if (unlogged) {
      unlogged_.comparisons.emplace_back(task_index, *std::move(unlogged));
      return absl::OkStatus();
    }
    if (parts_.measurer.HasExactTimes(request.device_class)) {
      // The fastest trial is the fastest program, unless an earlier job has promoted another.
      TESSERA_ASSIGN_OR_RETURN(
          const std::optional<Promoted> promoted,
          FindPromoted(parts_.store, key, request.device_class, job_.options.allow));
      if (!promoted) return absl::OkStatus();
    }
    TESSERA_ASSIGN_OR_RETURN(
        request.programs,
        ChooseContest(parts_.store, key, request.device_class, rivals, job_.options.allow));
    return absl::OkStatus();
  };
  TESSERA_RETURN_IF_ERROR(FromStore(choose(), "comparison"));
  run.contested = true;
  TESSERA_RETURN_IF_ERROR(LogComparisons());
  if (request.programs.empty()) return false;
  request.job_id = job_.id;
  request.task_index = task_index;
  request.task = job_.tasks[task_index];
  run.comparing = true;
  changed_ = true;
  parts_.measurer.Compare(request,
                          [inbox = inbox_, task_index, programs = request.programs](auto compared) {
                            inbox->Put(Compared{task_index, programs, std::move(compared)});
                          });
  return true;
}

absl::StatusOr<std::optional<db::Comparison>> JobRunner::FindUnlogged(
    std::string_view key, std::string_view device_class) const {
  TESSERA_ASSIGN_OR_RETURN(
      std::vector<db::Comparison> own,
      parts_.store.ListComparisons(key, device_class, db::ComparisonPurpose::kPromotion,
                                   kRecentComparisons));
  std::erase_if(own, [this](const db::Comparison& other) { return other.job_id != job_.id; });
  size_t logged = 0;
  for (int t = 0; t < state_.task_count(); ++t) {
    logged += state_.task(t).promoted != 0 && job_.tasks[t].Key() == key;
  }
  if (own.size() <= logged) return std::nullopt;
  return std::move(own[0]);
}

void JobRunner::Take(Compared compared) {
  const int t = compared.task_index;
  TaskRun& run = runs_[t];
  run.comparing = false;
  changed_ = true;
  if (out_of_time_ && state_.task(t).done) return;
  absl::StatusOr<db::Comparison> comparison =
      compared.run.ok() ? Judge(db::ComparisonPurpose::kPromotion, compared.programs, *compared.run)
                        : absl::StatusOr<db::Comparison>(compared.run.status());
  if (absl::IsCancelled(comparison.status()) &&
      run.comparisons_given_back < state_.options().max_given_back) {
    // As a trial: its device was away for a while. The task isn't done, so it is asked for again.
    ++run.comparisons_given_back;
    run.contested = false;
    return;
  }
  if (!comparison.ok()) {
    // Without a verdict the task keeps the incumbent that it had.
    run.not_compared = std::string(comparison.status().message());
    LogWarning(absl::StrCat("job ", job_.id, ", task ", job_.tasks[t].name,
                            ": not compared: ", comparison.status().message()));
    return;
  }
  comparison->job_id = job_.id;
  comparison->created = parts_.clock.Now();
  unlogged_.comparisons.emplace_back(t, *std::move(comparison));
}

std::string JobRunner::NotCompared() const {
  std::string names, reason;
  int others = -1;
  for (int t = 0; t < state_.task_count(); ++t) {
    if (runs_[t].not_compared.empty()) continue;
    if (++others > 0) continue;
    names = job_.tasks[t].name;
    reason = runs_[t].not_compared;
  }
  if (names.empty()) return "";
  if (others > 0) absl::StrAppend(&names, " and ", others, " more");
  return absl::StrCat("the fastest programs of ", names, " were not compared: ", reason);
}

absl::Status JobRunner::LogComparisons() {
  for (; !unlogged_.comparisons.empty(); unlogged_.comparisons.pop_front()) {
    auto& [task_index, comparison] = unlogged_.comparisons.front();
    if (comparison.id == 0) {
      const absl::StatusOr<int64_t> id = parts_.store.AppendComparison(comparison);
      TESSERA_RETURN_IF_ERROR(FromStore(id.status(), "comparison"));
      comparison.id = *id;
    }
    db::Event event = NewEvent(db::EventKind::kCompared, task_index);
    event.record_id = comparison.promoted;
    TESSERA_RETURN_IF_ERROR(Log({}, {std::move(event)}));
  }
  return absl::OkStatus();
}

}  // namespace tessera::tuner
