#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/time_text.h"
#include "proto/session.h"

namespace tessera::cli {

// Shows a job's progress: a block of lines redrawn in place on a terminal; elsewhere a line for
// each task that is done, and a summary at most every five seconds and at each change of state. Why
// a job failed is left to the caller. Single thread.
class ProgressView {
 public:
  ProgressView(std::FILE* out, bool is_terminal, Clock& clock)
      : out_(out), is_terminal_(is_terminal), clock_(clock) {}

  void Show(const proto::JobProgress& progress);
  // Leaves the last block standing.
  void Finish();

 private:
  struct Seen {
    double best_seconds = 0;
    bool done = false;
  };

  void ShowLines(const proto::JobProgress& progress);
  void ShowBlock(const proto::JobProgress& progress);

  std::FILE* const out_;
  const bool is_terminal_;
  Clock& clock_;
  int lines_drawn_ = 0;
  std::vector<Seen> seen_;   // of each task
  std::string latest_best_;  // since the last summary
  std::string last_message_;
  absl::Time last_line_ = absl::InfinitePast();
  db::JobState last_state_ = db::JobState::kQueued;
};

// Counts what is done: "samples calibrated: 3 of 20", on a terminal in one line, elsewhere a line
// at most every five seconds and at the end. Single thread.
class CountLine {
 public:
  CountLine(std::FILE* out, bool is_terminal, Clock& clock, std::string what, int64_t all)
      : out_(out),
        is_terminal_(is_terminal),
        clock_(clock),
        what_(std::move(what)),
        all_(all),
        last_line_(clock.Now()) {}

  // One more.
  void Add();

 private:
  std::FILE* const out_;
  const bool is_terminal_;
  Clock& clock_;
  const std::string what_;
  const int64_t all_;
  int64_t done_ = 0;
  absl::Time last_line_;
};

struct TerminalSize {
  int rows = 36;
  int columns = 80;
};
// The block of a terminal: at most rows - 1 lines of at most `columns` characters (from three rows
// on). What doesn't fit is said in more lines; of many tasks some are left out, which is said, too.
std::vector<std::string> BlockLines(const proto::JobProgress& progress, TerminalSize size);

// `text` in lines that fit where `out` is a terminal, else in one; an empty one in none.
void PrintFitting(std::FILE* out, std::string_view text);

// Rate and time left are those of a job that runs:
// "12 of 64 trials, 0:41 left, 18.3/s, 3 of 15 tasks done, all by weight 13.1 ms, 2 failed (1
// timeout, 1 run_error); runners 93% busy, waited for builds 7%".
std::string Summary(const proto::JobProgress& progress);

// "0:41", "12:05", "3:07:20".
std::string DurationText(double seconds);

}  // namespace tessera::cli
