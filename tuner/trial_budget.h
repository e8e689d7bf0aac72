#pragma once

#include <cstdint>
#include <vector>

#include "db/record/record.h"

namespace tessera::tuner {

// How many trials a task proposes at a time that has proposed so many: few at first, when each
// result tells much, then as many as spread the work of a search over several.
int BatchSize(int64_t proposed);

// The trials of a job: those that its options give each task, as each task's own or shared.
//
// Shared, the tasks that the same devices measure (those of one target and number of threads) have
// theirs in common, so that fast devices don't use up what slow ones are for. Each task is kept 8
// to 16 to show what it can, its warm-up. What tasks that have ended left goes to the others, and
// to those of other devices where none is left.
//
// Folded from the log: the same calls give the same answers. Thread-compatible.
class TrialBudget {
 public:
  TrialBudget(const db::Job& job, bool shared);

  // One trial was proposed for the task.
  void Propose(int task);
  // The task proposes no more. A second time changes nothing.
  void End(int task);

  // How many more trials the task may propose now.
  int64_t Left(int task) const;
  // Whether it will never have any more, whatever the others leave.
  bool IsUsedUp(int task) const;
  // What the task has had and, until it ends, an equal share of what is left: for people, and for
  // searches that go by how much of their budget is over. Of a task's own budget: all of it.
  int64_t Allotted(int task) const;
  // That some task may still propose.
  int64_t LeftOfJob() const;
  int64_t total() const { return total_; }
  int warm_up() const { return warm_up_; }  // trials of a task; 0 where budgets aren't shared

 private:
  struct Task {
    int pool = 0;
    int trials = 0;  // what it brings
    int64_t proposed = 0;
    bool ended = false;
  };
  // Tasks of the same devices.
  struct Pool {
    int64_t left = 0;  // negative: it was passed on some of another's
    int64_t kept = 0;  // of that, for warm-ups
    int open = 0;      // tasks that have not ended
  };

  int64_t Kept(const Task& task) const;
  // Of a pool, with what was passed on to it.
  int64_t Available(int pool) const;

  bool shared_ = false;
  int warm_up_ = 0;
  int64_t total_ = 0;
  std::vector<Task> tasks_;
  std::vector<Pool> pools_;
};

}  // namespace tessera::tuner
