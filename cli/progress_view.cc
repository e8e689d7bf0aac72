#include "cli/progress_view.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(10);
constexpr int kMaxTaskLines = 32;
// Lines that are too long are cut, not wrapped: a block has to stay as many rows as it has lines.
constexpr char kWrapOff[] = "\033[?7l";
constexpr char kWrapOn[] = "\033[?7h";

// What fits above the summary.
int TaskLines(std::FILE* terminal) {
  winsize size{};
  if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kMaxTaskLines;
  return std::clamp(static_cast<int>(size.ws_row) - 2, 1, kMaxTaskLines);
}

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
  std::string text = absl::StrFormat("%d of %d trials, %.1f/s, %d tasks of %d done", done, total,
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

void ProgressView::ShowLine(const proto::JobProgress& progress) {
  for (const std::string& line : progress.log_lines) std::fprintf(out_, "%s\n", line.c_str());
  const absl::Time now = clock_.Now();
  if (now - last_line_ < kLineInterval && progress.state == last_state_) return;
  last_line_ = now;
  last_state_ = progress.state;
  std::fprintf(out_, "job %ld %s: %s\n", static_cast<long>(progress.job_id),
               std::string(db::ToString(progress.state)).c_str(), Summary(progress).c_str());
  std::fflush(out_);
}

void ProgressView::ShowBlock(const proto::JobProgress& progress) {
  std::string block = kWrapOff;
  if (lines_drawn_ > 0) absl::StrAppendFormat(&block, "\033[%dA\033[J", lines_drawn_);
  // Bests and ends of tasks are in the block.
  if (progress.message != last_message_) {
    absl::StrAppend(&block, progress.message, "\n");
    last_message_ = progress.message;
  }
  const int shown = std::min(TaskLines(out_), static_cast<int>(progress.tasks.size()));
  for (int i = 0; i < shown; ++i) {
    const proto::TaskProgress& task = progress.tasks[static_cast<size_t>(i)];
    constexpr int kWidth = 24;
    const double share = task.trials_total > 0 ? static_cast<double>(task.trials_done) /
                                                     static_cast<double>(task.trials_total)
                                               : 0;
    const int filled = std::clamp(static_cast<int>(share * kWidth), 0, kWidth);
    absl::StrAppendFormat(&block, "  %-14s %s%s %5d/%-5d best %9s\n", task.name.substr(0, 14),
                          std::string(static_cast<size_t>(filled), '#'),
                          std::string(static_cast<size_t>(kWidth - filled), '.'), task.trials_done,
                          task.trials_total, TimeText(task.best_seconds));
  }
  absl::StrAppend(&block, "job ", progress.job_id, " ", std::string(db::ToString(progress.state)),
                  ": ", Summary(progress), "\n", kWrapOn);
  std::fputs(block.c_str(), out_);
  std::fflush(out_);
  lines_drawn_ = shown + 1;
}

void ProgressView::Show(const proto::JobProgress& progress) {
  is_terminal_ ? ShowBlock(progress) : ShowLine(progress);
}

void ProgressView::Finish() { lines_drawn_ = 0; }

}  // namespace tessera::cli
