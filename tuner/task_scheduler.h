#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera::tuner {

// A task that could be given one more trial now.
struct TaskLoad {
  int task_index = 0;
  int budget = 0;      // trials of each task, were they shared out equally
  int handed_out = 0;  // finished or at a device
  int ready = 0;       // proposed, and at nobody's
  double gain = 0;     // TuningState::ExpectedGain, infinity while the task has to show itself
  int64_t proposed = 0;
};

// Spreads devices, and with them trials, over tasks. A pure function of what it is shown.
// Thread-safe.
class TaskScheduler {
 public:
  virtual ~TaskScheduler() = default;
  // Whether the trials of all tasks are one budget, of which each task gets what Next gives it
  // (trial_budget.h), and a task that promises little more ends. Otherwise each has its own, and
  // uses it up.
  virtual bool SharesBudget() const = 0;
  // The task_index of the one that gets the next trial; -1 if `loads` is empty. They are in the
  // order of the job's tasks.
  virtual int Next(absl::Span<const TaskLoad> loads) const = 0;
};

// What there is to choose from, by name in alphabetic order: errors, the command line's help and
// docs/search.md say the same.
struct TaskSchedulerKind {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<const TaskScheduler> (*make)();
};
absl::Span<const TaskSchedulerKind> TaskSchedulerKinds();
// "fair, fixed or gradient".
std::string TaskSchedulerNames();

// InvalidArgument for another name, with the known ones.
absl::StatusOr<std::unique_ptr<const TaskScheduler>> MakeTaskScheduler(std::string_view name);

}  // namespace tessera::tuner
