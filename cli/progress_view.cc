#include "cli/progress_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/view.h"
#include "cli/runners.h"
#include "cli/text.h"

namespace tessera::cli {
namespace {

constexpr absl::Duration kLineInterval = absl::Seconds(5);
constexpr int kMaxTaskRows = 32;
// The lines of a block are as long as the terminal is wide at most, and are cut where it has been
// made narrower since: a block has to stay as many rows as it has lines.
constexpr char kWrapOff[] = "\033[?7l";
constexpr char kWrapOn[] = "\033[?7h";

TerminalSize SizeOf(std::FILE* terminal) {
  winsize size{};
  if (ioctl(fileno(terminal), TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_row > 0 ? size.ws_row : TerminalSize().rows,
          size.ws_col > 0 ? size.ws_col : TerminalSize().columns};
}

// Exactly `width` characters.
std::string Padded(std::string_view text, int width) {
  std::string padded(Cut(text, width));
  padded.append(static_cast<size_t>(std::max(width - WidthOf(padded), 0)), ' ');
  return padded;
}

// The bar takes what the rest leaves, and is left out where that is too little to see a thing.
std::string TaskLine(const proto::TaskProgress& task, int columns) {
  constexpr int kLongestBar = 24, kShortestBar = 4;
  const std::string name = Padded(absl::StrCat("  ", OneLine(task.name)), 16);
  const std::string rest = absl::StrFormat(" %5d/%-5d best %9s", task.trials_done,
                                           task.trials_total, TimeText(task.best_seconds));
  const int bar = std::min(columns - WidthOf(name) - 1 - WidthOf(rest), kLongestBar);
  if (WidthOf(name) + WidthOf(rest) > columns) {
    const std::string tight = absl::StrFormat(" %d/%d %s", task.trials_done, task.trials_total,
                                              TimeText(task.best_seconds));
    const std::string_view head = Cut(name, std::max(columns - WidthOf(tight), 0));
    return std::string(Cut(absl::StrCat(AbslView(head), tight), columns));
  }
  if (bar < kShortestBar) return name + rest;
  const double share = task.trials_total > 0 ? static_cast<double>(task.trials_done) /
                                                   static_cast<double>(task.trials_total)
                                             : 0;
  const int filled = std::clamp(static_cast<int>(share * bar), 0, bar);
  if (!task.end_reason.empty()) {
    return absl::StrCat(name, " ", Padded(OneLine(task.end_reason), bar), rest);
  }
  return absl::StrCat(name, " ", std::string(static_cast<size_t>(filled), '#'),
                      std::string(static_cast<size_t>(bar - filled), '.'), rest);
}

// A line a task; where they are more than fit, those that are not done come first.
std::vector<std::string> TaskLines(const proto::JobProgress& progress, TerminalSize size) {
  std::vector<std::string> lines;
  const auto all = static_cast<int>(progress.tasks.size());
  const int shown = all <= size.rows ? all : size.rows - 1;
  for (const bool done : {false, true}) {
    for (const proto::TaskProgress& task : progress.tasks) {
      const bool takes_turn = all <= size.rows ? !done : task.done == done;
      if (takes_turn && static_cast<int>(lines.size()) < shown) {
        lines.push_back(TaskLine(task, size.columns));
      }
    }
  }
  if (shown < all) {
    lines.emplace_back(Cut(absl::StrCat("  … and ", all - shown, " more"), size.columns));
  }
  return lines;
}

// What the job has to say while it goes on.
std::string Remark(const proto::JobProgress& progress) {
  return progress.state == db::JobState::kFailed ? "" : OneLine(progress.message);
}

// What a run of all takes by the best of each: "all by weight 13.1 ms", of what is measured so far
// "9 of 15 by weight 8.4 ms". Empty of a single task, and where weights are not known.
std::string WeightedText(const proto::JobProgress& progress) {
  size_t measured = 0;
  double seconds = 0;
  for (const proto::TaskProgress& task : progress.tasks) {
    if (!task.weight) return "";
    measured += task.best_seconds > 0 ? 1 : 0;
    seconds += *task.weight * task.best_seconds;
  }
  const size_t all = progress.tasks.size();
  if (all < 2 || measured == 0) return "";
  const std::string whose = measured == all ? "all" : absl::StrCat(measured, " of ", all);
  return absl::StrCat(whose, " by weight ", TimeText(seconds));
}

// What a run of the job's model took, when that was measured last.
std::string ModelText(const proto::ModelTime& model) {
  std::string text = absl::StrCat("in the model ", TimeText(model.seconds));
  if (model.default_seconds > 0) {
    absl::StrAppend(&text, " of ", TimeText(model.default_seconds));
  }
  absl::StrAppend(&text, " after ", model.trials, " trials");
  return text;
}

std::string StateAndSummary(const proto::JobProgress& progress) {
  return absl::StrCat("job ", progress.job_id, " ", std::string(db::ToString(progress.state)), ": ",
                      Summary(progress));
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
  std::string text = absl::StrFormat("%d of %d trials, ", done, total);
  if (progress.state == db::JobState::kRunning && progress.remaining_seconds >= 0) {
    absl::StrAppend(&text, DurationText(progress.remaining_seconds), " left, ");
  }
  if (progress.state == db::JobState::kRunning && progress.trials_per_second > 0) {
    absl::StrAppendFormat(&text, "%.1f/s, ", progress.trials_per_second);
  }
  absl::StrAppendFormat(&text, "%d of %d tasks done", tasks_done, progress.tasks.size());
  if (const std::string weighted = WeightedText(progress); !weighted.empty()) {
    absl::StrAppend(&text, ", ", weighted);
  }
  if (progress.model) absl::StrAppend(&text, ", ", ModelText(*progress.model));
  if (failed > 0) {
    const std::string detail =
        absl::StrJoin(reasons, ", ", [](std::string* out, const auto& reason) {
          absl::StrAppend(out, reason.second, " ", reason.first);
        });
    absl::StrAppend(&text, ", ", failed, " failed (", detail, ")");
  }
  if (const std::string runners = RunnersText(progress.runners); !runners.empty()) {
    absl::StrAppend(&text, "; ", runners);
  }
  return text;
}

void ProgressView::ShowLines(const proto::JobProgress& progress) {
  seen_.resize(progress.tasks.size());
  for (size_t i = 0; i < seen_.size(); ++i) {
    const proto::TaskProgress& task = progress.tasks[i];
    if (task.best_seconds > 0 && task.best_seconds != seen_[i].best_seconds) {
      latest_best_ = absl::StrCat(", ", task.name, " best ", TimeText(task.best_seconds));
    }
    if (task.done && !seen_[i].done) {
      const std::string why =
          task.end_reason.empty() ? "" : absl::StrCat(" (", OneLine(task.end_reason), ")");
      const std::string promoted =
          task.promoted == 0 ? "" : absl::StrCat(", libraries take record ", task.promoted);
      std::fprintf(out_, "%s: done after %ld trials%s, best %s%s\n", task.name.c_str(),
                   static_cast<long>(task.trials_done), why.c_str(),
                   TimeText(task.best_seconds).c_str(), promoted.c_str());
    }
    seen_[i] = {task.best_seconds, task.done};
  }
  const std::string message = Remark(progress);
  if (!message.empty() && message != last_message_) {
    std::fprintf(out_, "%s\n", message.c_str());
    last_message_ = message;
  }
  const absl::Time now = clock_.Now();
  if (now - last_line_ >= kLineInterval || progress.state != last_state_) {
    last_line_ = now;
    last_state_ = progress.state;
    std::fprintf(out_, "%s%s\n", StateAndSummary(progress).c_str(), latest_best_.c_str());
    latest_best_.clear();
  }
  std::fflush(out_);
}

std::vector<std::string> BlockLines(const proto::JobProgress& progress, TerminalSize size) {
  std::vector<std::string> below = Wrapped(StateAndSummary(progress), size.columns);
  for (std::string& line : Wrapped(Remark(progress), size.columns)) {
    below.push_back(std::move(line));
  }
  const int rows = size.rows - 1;  // the cursor has one
  if (static_cast<int>(below.size()) > rows - 1) below.resize(std::max(rows - 1, 1));
  const int task_rows = std::clamp(rows - static_cast<int>(below.size()), 1, kMaxTaskRows);
  std::vector<std::string> lines = TaskLines(progress, {task_rows, size.columns});
  lines.insert(lines.end(), below.begin(), below.end());
  return lines;
}

void ProgressView::ShowBlock(const proto::JobProgress& progress) {
  const std::vector<std::string> lines = BlockLines(progress, SizeOf(out_));
  std::string block = kWrapOff;
  if (lines_drawn_ > 0) absl::StrAppendFormat(&block, "\033[%dA", lines_drawn_);
  // Line by line, and at last what a longer block left: some terminals keep among the lines that
  // have scrolled off what is erased from their first row on.
  for (const std::string& line : lines) absl::StrAppend(&block, "\033[K", line, "\n");
  absl::StrAppend(&block, "\033[J", kWrapOn);
  std::fputs(block.c_str(), out_);
  std::fflush(out_);
  lines_drawn_ = static_cast<int>(lines.size());
}

void CountLine::Add() {
  done_ += 1;
  const bool is_last = done_ == all_;
  if (!is_terminal_ && !is_last && clock_.Now() - last_line_ < kLineInterval) return;
  last_line_ = clock_.Now();
  std::fprintf(out_, "%s%s: %ld of %ld%s", is_terminal_ ? "\r\033[K" : "", what_.c_str(),
               static_cast<long>(done_), static_cast<long>(all_),
               is_terminal_ && !is_last ? "" : "\n");
  std::fflush(out_);
}

void PrintFitting(std::FILE* out, std::string_view text) {
  const bool is_terminal = isatty(fileno(out)) != 0;
  for (const std::string& line : Wrapped(text, is_terminal ? SizeOf(out).columns : WidthOf(text))) {
    std::fprintf(out, "%s\n", line.c_str());
  }
}

void ProgressView::Show(const proto::JobProgress& progress) {
  is_terminal_ ? ShowBlock(progress) : ShowLines(progress);
}

void ProgressView::Finish() { lines_drawn_ = 0; }

}  // namespace tessera::cli
