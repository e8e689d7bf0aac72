#include "tuner/task_scheduler.h"

#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/names.h"
#include "base/view.h"

namespace tessera::tuner {
namespace {

// The task with the largest share of its budget left, the first of equals: with equal budgets a
// round robin that also catches up what a slow or lost device left behind.
class FairScheduler final : public TaskScheduler {
 public:
  bool SharesBudget() const override { return false; }
  int Next(absl::Span<const TaskLoad> loads) const override {
    const TaskLoad* best = nullptr;
    for (const TaskLoad& load : loads) {
      // Shares compared as fractions, exactly.
      if (best == nullptr || int64_t{load.budget - load.handed_out} * best->budget >
                                 int64_t{best->budget - best->handed_out} * load.budget) {
        best = &load;
      }
    }
    return best == nullptr ? -1 : best->task_index;
  }
};

// One task after the other, as AutoTVM tunes those of a model (arXiv:1805.08166): the next begins
// when the one before it has handed out its last trial.
class FixedScheduler final : public TaskScheduler {
 public:
  bool SharesBudget() const override { return false; }
  int Next(absl::Span<const TaskLoad> loads) const override {
    return loads.empty() ? -1 : loads[0].task_index;
  }
};

// What was proposed first of all, so that a task's next batch knows as many results as can be;
// then a batch of the task from which most is to be gained, after Ansor (arXiv:2006.06762, §6).
class GradientScheduler final : public TaskScheduler {
 public:
  bool SharesBudget() const override { return true; }
  int Next(absl::Span<const TaskLoad> loads) const override {
    const TaskLoad* best = nullptr;
    const auto rank = [](const TaskLoad& load) {
      return std::tuple(load.ready > 0, load.gain, -load.proposed);
    };
    for (const TaskLoad& load : loads) {
      if (best == nullptr || rank(load) > rank(*best)) best = &load;
    }
    return best == nullptr ? -1 : best->task_index;
  }
};

template <typename Scheduler>
std::unique_ptr<const TaskScheduler> Make() {
  return std::make_unique<const Scheduler>();
}

constexpr TaskSchedulerKind kKinds[] = {
    {"fair", "the task with the largest share of its own trials left", Make<FairScheduler>},
    {"fixed", "one task after the other, each with its own trials", Make<FixedScheduler>},
    {"gradient", "the task from which most is to be gained; all trials are one budget",
     Make<GradientScheduler>},
};

}  // namespace

absl::Span<const TaskSchedulerKind> TaskSchedulerKinds() { return kKinds; }

std::string TaskSchedulerNames() { return NamesOf(TaskSchedulerKinds()); }

absl::StatusOr<std::unique_ptr<const TaskScheduler>> MakeTaskScheduler(std::string_view name) {
  for (const TaskSchedulerKind& kind : kKinds) {
    if (kind.name == name) return kind.make();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("scheduler '", AbslView(name), "' is not known; choose ", TaskSchedulerNames()));
}

}  // namespace tessera::tuner
