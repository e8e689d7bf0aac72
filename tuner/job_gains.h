#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "db/record/record.h"
#include "tuner/improvement.h"

namespace tessera::tuner {

// What the tasks of a job promise, measured by what the job is for: Σ weight × best seconds.
//
// A task's own results say how fast it improves (improvement.h). Where a similar one
// (similar_tasks.h) computes more than twice as much a second, the optimistic guess is that half of
// its rate is to be had here, too (after Ansor, arXiv:2006.06762 §6, with its β of 2); the guess
// fades with results that bring nothing. Folded from the log. Thread-compatible.
class JobGains {
 public:
  JobGains() = default;
  explicit JobGains(absl::Span<const db::Task> tasks);

  // A result of the task: infinity for a program that failed. `searched`: not the default schedule,
  // whose time counts as any other but says nothing about searching.
  void Add(int task, double cost_seconds, bool searched);
  // Before its first result: `results` of earlier jobs, the best of which took `best_seconds`,
  // infinity if all failed. They say how far it was searched, but not how fast this search
  // improves.
  void Know(int task, double best_seconds, int64_t results);
  // Looks, every few results from some number on, whether `trials` more of the task are worth it.
  void Look(int task, int64_t trials);
  // The last two looks of the task found that it would gain less than kLittle of the job's time.
  bool HasLittleLeft(int task) const { return tasks_[task].looks_in_vain >= kLooks; }

  // Seconds of weight × best that `trials` more after `pending` ones are expected to save. Infinity
  // while nothing can be said: no program that was searched for has succeeded.
  double Expected(int task, int64_t pending, int64_t trials) const;
  // Σ weight × best, of the tasks that have one.
  double JobSeconds() const;

  static constexpr double kLittle = 0.002;
  static constexpr int kLooks = 2;

 private:
  struct Task {
    double weight = 1;
    double operations = 0;     // 0: not known, there are no similar ones
    std::vector<int> similar;  // other tasks
    double best_seconds = 0;   // 0: none yet
    Improvement improvement;
    int looks_in_vain = 0;  // in a row
  };

  double Slope(const Task& task) const;

  std::vector<Task> tasks_;
};

}  // namespace tessera::tuner
