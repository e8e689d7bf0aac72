#include "tuner/job_gains.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tuner/similar_tasks.h"

namespace tessera::tuner {
namespace {

constexpr double kOfSimilarRate = 0.5;
constexpr double kGuessHalfLife = 24;  // results without a new best
// Results of a task before the first look, and from one look to the next.
constexpr int64_t kFirstLook = 32, kLookEvery = 8;

}  // namespace

JobGains::JobGains(absl::Span<const db::Task> tasks) {
  std::vector<TaskKind> kinds;
  for (const db::Task& task : tasks) {
    kinds.push_back(KindOf(task));
    tasks_.push_back({.weight = std::max(0.0, task.weight), .operations = kinds.back().operations});
  }
  for (size_t a = 0; a < kinds.size(); ++a) {
    for (size_t b = 0; b < kinds.size(); ++b) {
      if (a != b && AreSimilar(kinds[a], kinds[b]))
        tasks_[a].similar.push_back(static_cast<int>(b));
    }
  }
}

void JobGains::Add(int task, double cost_seconds, bool searched) {
  Task& of = tasks_[task];
  if (std::isfinite(cost_seconds)) {
    of.best_seconds = of.best_seconds > 0 ? std::min(of.best_seconds, cost_seconds) : cost_seconds;
  }
  if (searched) of.improvement.Add(cost_seconds);
}

void JobGains::Know(int task, double best_seconds, int64_t results) {
  Add(task, best_seconds, false);
  tasks_[task].improvement.Know(results);
}

void JobGains::Look(int task, int64_t trials) {
  Task& of = tasks_[task];
  const int64_t results = of.improvement.results();
  if (results < kFirstLook || results % kLookEvery != 0) return;
  const bool is_little = Expected(task, 0, trials) < kLittle * JobSeconds();
  of.looks_in_vain = is_little ? of.looks_in_vain + 1 : 0;
}

double JobGains::Slope(const Task& task) const {
  double slope = task.improvement.Slope();
  const double rate = task.operations / task.best_seconds;
  const double belief = std::exp2(-static_cast<double>(task.improvement.stale()) / kGuessHalfLife);
  for (const int other : task.similar) {
    const Task& like = tasks_[other];
    if (like.best_seconds <= 0) continue;
    const double guess = kOfSimilarRate * like.operations / like.best_seconds;
    slope = std::max(slope, belief * std::log(guess / rate));
  }
  return slope;
}

double JobGains::Expected(int task, int64_t pending, int64_t trials) const {
  const Task& of = tasks_[task];
  // By the prior where nothing was searched, but the default schedule is known.
  const bool is_begun = of.improvement.results() > 0;
  if (is_begun ? !of.improvement.has_success() : of.best_seconds <= 0) {
    return std::numeric_limits<double>::infinity();
  }
  const int64_t results = of.improvement.known() + of.improvement.results();
  return of.weight * of.best_seconds *
         ExpectedSaving(Slope(of), std::max<int64_t>(1, results), pending, trials);
}

double JobGains::JobSeconds() const {
  double seconds = 0;
  for (const Task& task : tasks_) seconds += task.weight * task.best_seconds;
  return seconds;
}

}  // namespace tessera::tuner
