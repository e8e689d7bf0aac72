#pragma once

#include "absl/types/span.h"

namespace tessera::tuner {

// A task that could be given one more trial now.
struct TaskLoad {
  int task_index = 0;
  double weight = 1;
  int budget = 0;           // trials
  int handed_out = 0;       // of the budget: finished or at a device
  double best_seconds = 0;  // infinity before the first success
};

// Spreads devices over tasks. A pure function of what it is shown. Thread-safe.
class TaskScheduler {
 public:
  virtual ~TaskScheduler() = default;
  // The task_index of the one that gets the next trial; -1 if `loads` is empty.
  virtual int Next(absl::Span<const TaskLoad> loads) const = 0;
};

// The task with the largest share of its budget left, the first of equals: with equal budgets a
// round robin that also catches up what a slow or lost device left behind.
class FairScheduler final : public TaskScheduler {
 public:
  int Next(absl::Span<const TaskLoad> loads) const override;
};

}  // namespace tessera::tuner
