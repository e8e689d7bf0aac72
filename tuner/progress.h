#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "db/record/record.h"
#include "db/record/runner_time.h"
#include "tuner/state.h"

namespace tessera::tuner {

struct TaskProgress {
  std::string name;
  int64_t budget = 0;  // trials: TrialBudget::Allotted
  int proposed = 0;
  int in_flight = 0;  // at the measurer
  int finished = 0;
  bool done = false;
  std::string end_reason;   // why, where it is not that its trials are used up
  double best_seconds = 0;  // infinity before the first success
  double weight = 1;        // how often it runs in a run of what the job is for
  int64_t best_record_id = 0;
  // Results by db::Outcome.
  std::array<int, kOutcomeCount> outcomes{};
  bool has_model = false;
  int64_t promoted = 0;  // record that a comparison left as the fastest; 0: none was made
};

// A job as it stands. A value that nobody changes.
struct JobProgress {
  int64_t job_id = 0;
  uint64_t revision = 0;  // counts what was published of the job
  db::JobState state = db::JobState::kQueued;
  std::string message;  // how it ended, what it waits for (a device, the store) or what it compares
  std::vector<TaskProgress> tasks;
  double trials_per_second = 0;         // over the latest 64 results; 0 before the second
  double eta_seconds = -1;              // negative: not known
  std::vector<db::RunnerTime> runners;  // since the server started
  bool starved = false;                 // tasks are left that no connected device takes
  bool stalled = false;  // the store takes nothing; the job goes on as soon as it does
};

}  // namespace tessera::tuner
