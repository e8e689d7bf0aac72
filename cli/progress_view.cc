#include "cli/progress_view.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(10);
constexpr size_t kMaxTaskLines = 32;

}  // namespace

std::string DurationText(double seconds) {
  if (seconds < 0) return "unknown time";
  const auto total = static_cast<int64_t>(seconds + 0.5);
  if (total >= 3600) {
    return absl::StrFormat("%d:%02d:%02d", total / 3600, total / 60 % 60, total % 60);
  }
  return absl::StrFormat("%d:%02d", total / 60, total % 60);
}

std::string TimeText(double seconds) {
  if (seconds <= 0) return "-";
  if (seconds < 1e-3) return absl::StrFormat("%.3g us", seconds * 1e6);
  if (seconds < 1) return absl::StrFormat("%.3g ms", seconds * 1e3);
  return absl::StrFormat("%.3g s", seconds);
}

std::string Summary(const proto::JobProgress& progress) {
  int64_t done = 0, total = 0, tasks_done = 0, failed = 0;
  std::map<std::string, int64_t> reasons;
  for (const proto::TaskProgress& task : progress.tasks) {
    done += task.trials_done;
    total += task.trials_total;
    tasks_done += task.done ? 1 : 0;
    for (const auto& [outcome, count] : task.failures) {
      if (count == 0) continue;
      failed += count;
      reasons[std::string(db::ToString(outcome))] += count;
    }
  }
  std::string text =
      absl::StrFormat("%d of %d trials, %.1f/s, %d tasks of %d done", done, total,
                      progress.trials_per_second, tasks_done, progress.tasks.size());
  if (failed > 0) {
    const std::string detail =
        absl::StrJoin(reasons, ", ", [](std::string* out, const auto& reason) {
          absl::StrAppend(out, reason.second, " ", reason.first);
        });
    absl::StrAppend(&text, ", ", failed, " failed (", detail, ")");
  }
  if (progress.state == db::JobState::kRunning && progress.remaining_seconds >= 0) {
    absl::StrAppend(&text, ", ", DurationText(progress.remaining_seconds), " left");
  }
  return text;
}

void ProgressView::Show(const proto::JobProgress& progress) {
  for (const std::string& line : progress.log_lines) {
    if (is_terminal_ && lines_drawn_ > 0) std::fprintf(out_, "\033[%dA\033[J", lines_drawn_);
    lines_drawn_ = 0;
    std::fprintf(out_, "%s\n", line.c_str());
  }
  if (!is_terminal_) {
    const absl::Time now = clock_.Now();
    if (now - last_line_ < kLineInterval && progress.state == last_state_) return;
    last_line_ = now;
    last_state_ = progress.state;
    std::fprintf(out_, "job %ld %s: %s\n", static_cast<long>(progress.job_id),
                 std::string(db::ToString(progress.state)).c_str(), Summary(progress).c_str());
    std::fflush(out_);
    return;
  }
  std::string block;
  int lines = 0;
  for (const proto::TaskProgress& task : progress.tasks) {
    if (static_cast<size_t>(lines) == kMaxTaskLines) break;
    constexpr int kWidth = 24;
    const double share = task.trials_total > 0 ? static_cast<double>(task.trials_done) /
                                                     static_cast<double>(task.trials_total)
                                               : 0;
    const int filled = static_cast<int>(share * kWidth);
    absl::StrAppendFormat(&block, "  %-14s %s%s %5d/%-5d best %9s\n", task.name.substr(0, 14),
                          std::string(static_cast<size_t>(filled), '#'),
                          std::string(static_cast<size_t>(kWidth - filled), '.'), task.trials_done,
                          task.trials_total, TimeText(task.best_seconds));
    ++lines;
  }
  absl::StrAppend(&block, "job ", progress.job_id, " ", std::string(db::ToString(progress.state)),
                  ": ", Summary(progress), "\n");
  ++lines;
  if (lines_drawn_ > 0) std::fprintf(out_, "\033[%dA\033[J", lines_drawn_);
  std::fputs(block.c_str(), out_);
  std::fflush(out_);
  lines_drawn_ = lines;
}

void ProgressView::Finish() { lines_drawn_ = 0; }

}  // namespace tessera::cli
