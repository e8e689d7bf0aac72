#include "tuner/contenders.h"

#include <algorithm>

namespace tessera::tuner {
namespace {

constexpr int kTrials = 12;          // of a sketch, then its programs speak for themselves
constexpr int kPatience = 64;        // searched trials without one of the next sketch
constexpr double kWorthwhile = 0.9;  // of the best time

}  // namespace

void Contenders::Proposed(int sketch, bool searched) {
  const int next = Next();
  if (searched && next >= 0) ++sketches_[next].passed_over;
  if (sketch >= static_cast<int>(sketches_.size())) return;
  ++sketches_[sketch].trials;
  sketches_[sketch].passed_over = 0;
}

void Contenders::Measured(int sketch, double cost_seconds) {
  if (sketch >= static_cast<int>(sketches_.size())) return;
  double& best = sketches_[sketch].best_seconds;
  best = best > 0 ? std::min(best, cost_seconds) : cost_seconds;
}

void Contenders::ForgetMeasured() {
  for (Sketch& sketch : sketches_) sketch.best_seconds = 0;
}

int Contenders::Next() const {
  double best_seconds = 0, work_a_second = 0;
  for (const Sketch& sketch : sketches_) {
    if (sketch.best_seconds <= 0) continue;
    if (best_seconds <= 0 || sketch.best_seconds < best_seconds) best_seconds = sketch.best_seconds;
    work_a_second = std::max(work_a_second, sketch.work / sketch.best_seconds);
  }
  const double worthwhile = kWorthwhile * best_seconds * work_a_second;
  int next = -1, least_trials = kTrials;
  for (size_t i = 0; i < sketches_.size(); ++i) {
    const Sketch& sketch = sketches_[i];
    if (sketch.trials >= least_trials || sketch.work >= worthwhile) continue;
    if (sketch.passed_over >= kPatience) continue;
    least_trials = sketch.trials;
    next = static_cast<int>(i);
  }
  return next;
}

}  // namespace tessera::tuner
