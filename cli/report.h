#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/client.h"

namespace tessera::cli {

// One operator of a finished (or stopped) job.
struct ReportRow {
  std::string op;
  double weight = 1;           // how often what the job is for runs it
  double default_seconds = 0;  // 0: not measured
  double tuned_seconds = 0;
  // Executed arithmetic of one call: of the definition, and of the fastest program, whose algorithm
  // may be another (Winograd's).
  int64_t operations = 0, tuned_operations = 0;
  // Of the device's peak on the threads used. 0: unknown, or of a CPU and another type than f32.
  double peak_fraction = 0;
  // The record of the tuned time, where the job did not measure it: it was there before. 0: its
  // own.
  int64_t known_record = 0;
  int64_t trials = 0;
  double seconds = 0;  // that building and running its trials took
  std::vector<std::pair<db::Outcome, int64_t>> failures;
  // Of its fastest programs, which the job made when its trials were done; none if it made none.
  std::optional<db::Comparison> comparison;

  double DefaultGflops() const;
  double TunedGflops() const;
};

// One call of each operator as often as its weight says; 0 where one was not measured.
struct WeightedTimes {
  double default_seconds = 0, tuned_seconds = 0;
};

struct Report {
  int64_t job_id = 0;
  db::JobState state = db::JobState::kQueued;
  std::string device_class;
  std::string machine;  // description of the device class
  // Of the threads used: their number times the fastest reference loop that this run measured on
  // one core, or what the fastest kernel shown reached (the clock moves; no kernel exceeds it).
  double peak_gflops = 0;
  bool is_accelerators = false;  // the peak: all arithmetic of an accelerator, as its clock says
  int threads = 1;
  std::string message;  // of the job: how it ended, where that needs a word
  // From its creation to its end, waiting included; 0 before the end.
  double elapsed_seconds = 0;
  std::vector<ReportRow> rows;
  std::vector<db::Device> devices;      // of the class, whose pace is known, as it is now
  std::vector<db::RunnerTime> runners;  // as far as the server remembers; see RunnerTime
  std::optional<db::InPlace> in_place;  // of a model's job: what a run took, if that was measured
};

// Reads a job's records, and, where it began from a prior, the fastest that were there before it:
// never later ones of other jobs. The default schedule is the trial that explorer "default"
// proposed. What runners did is known of jobs that have ended.
absl::StatusOr<Report> MakeReport(Client& client, const db::Job& job);

WeightedTimes TimesOf(const Report& report);

std::string ToTable(const Report& report);
// {"job", "state", "machine": …, "operators": [{op, default_gflops, tuned_gflops, peak_fraction,
// known_record, trials, seconds, failures, comparison}, …], "all": {default_seconds,
// tuned_seconds}, "in_place": {device, seconds, alone_seconds, default_seconds}, "runners":
// [{device, run_seconds, build_seconds, …}, …], "paces": [{device, pace, programs}, …]}; null for
// what is not known.
std::string ToJson(const Report& report);

}  // namespace tessera::cli
