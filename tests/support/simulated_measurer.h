#pragma once

#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/hash.h"
#include "base/rng.h"
#include "tuner/measurer.h"

namespace tessera::test {

struct SimulationOptions {
  int capacity = 4;                // trials held at once
  double noise = 0;                // standard deviation of log time, about
  double failure_rate = 0;         // of candidates, a property of the program
  double infrastructure_rate = 0;  // of attempts
  double give_back_rate = 0;       // of trials, before they are tried
  int give_backs = 1;              // how often such a trial is given back
  bool reorder = false;            // deliver in a random order
  int turns = 20;                  // of comparisons
  bool exact_times = false;
  double lost_comparisons = 0;    // share of them that no device could do
  int comparison_give_backs = 0;  // of the first comparisons, untried
  uint64_t seed = 0;
};

// Devices that need no time: trials wait until the test calls Deliver. Times come from a function
// of the request; noise and failures are fixed by the seed and the program, not by the order, so
// that a program measures the same before and after a restart. Thread-safe.
class SimulatedMeasurer final : public tuner::Measurer {
 public:
  using Cost = std::function<double(const tuner::TrialRequest&)>;

  SimulatedMeasurer(SimulationOptions options, Cost cost_seconds)
      : options_(options), cost_seconds_(std::move(cost_seconds)), order_(options.seed) {}

  int Appetite(const db::Task&, std::string_view) override {
    absl::MutexLock lock(&mutex_);
    ++asked_;
    return online_ ? options_.capacity - static_cast<int>(held_.size()) : 0;
  }

  std::string Missing(const db::Task& task, std::string_view) override {
    absl::MutexLock lock(&mutex_);
    return online_ ? "" : "no connected device takes " + task.target;
  }

  void Start(const tuner::TrialRequest& request, std::function<void(db::Record)> done) override {
    absl::MutexLock lock(&mutex_);
    started_.push_back(request);
    held_.push_back({request, std::move(done)});
  }

  bool HasExactTimes(std::string_view) override { return options_.exact_times; }

  void Compare(const tuner::ComparisonRequest& request,
               std::function<void(absl::StatusOr<tuner::ComparisonRun>)> done) override {
    absl::MutexLock lock(&mutex_);
    compared_.push_back(request);
    comparisons_.push_back({request, std::move(done)});
  }

  void Stored(const db::Record& record) override {
    absl::MutexLock lock(&mutex_);
    stored_.push_back(record.trial);
  }

  void Abandon(int64_t) override {
    absl::MutexLock lock(&mutex_);
    ++abandoned_;
  }

  // That trial is never delivered: its device hangs.
  void HoldBack(int64_t trial) {
    absl::MutexLock lock(&mutex_);
    held_back_.insert(trial);
  }

  // Completes one trial, or the oldest comparison; false if there is none.
  bool Deliver() { return DeliverTrial() || DeliverComparison(); }

  bool DeliverComparison() {
    std::pair<tuner::ComparisonRequest, std::function<void(absl::StatusOr<tuner::ComparisonRun>)>>
        next;
    {
      absl::MutexLock lock(&mutex_);
      if (comparisons_.empty()) return false;
      next = std::move(comparisons_.front());
      comparisons_.pop_front();
    }
    if (GiveBackComparison()) {
      next.second(absl::CancelledError("no device for it is connected"));
    } else {
      next.second(Measure(next.first));
    }
    return true;
  }

  bool DeliverTrial() {
    std::pair<tuner::TrialRequest, std::function<void(db::Record)>> next;
    {
      absl::MutexLock lock(&mutex_);
      std::vector<size_t> free;
      for (size_t i = 0; i < held_.size(); ++i) {
        if (!held_back_.contains(held_[i].first.trial)) free.push_back(i);
      }
      if (free.empty()) return false;
      const size_t index = free[options_.reorder ? order_.Below(free.size()) : 0];
      next = std::move(held_[index]);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
    }
    next.second(Measure(next.first));
    return true;
  }

  void SetOnline(bool online) {
    absl::MutexLock lock(&mutex_);
    online_ = online;
  }
  int asked() const {  // times, for its appetite
    absl::MutexLock lock(&mutex_);
    return asked_;
  }
  int held() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(held_.size());
  }
  int abandoned() const {
    absl::MutexLock lock(&mutex_);
    return abandoned_;
  }
  std::vector<tuner::TrialRequest> started() const {
    absl::MutexLock lock(&mutex_);
    return started_;
  }
  std::vector<tuner::ComparisonRequest> compared() const {
    absl::MutexLock lock(&mutex_);
    return compared_;
  }
  std::vector<int64_t> stored() const {
    absl::MutexLock lock(&mutex_);
    return stored_;
  }

  db::Record Measure(const tuner::TrialRequest& request) const {
    Rng attempt(StableHasher().Add(options_.seed).Add(request.loop_hash).Add(uint64_t{0}).Finish());
    Rng program(StableHasher().Add(options_.seed).Add(request.loop_hash).Finish());
    db::Record record;
    record.loop_hash = request.loop_hash;
    record.device = "simulated/cpu";
    record.device_class = "simulated";
    db::Measurement& m = record.measurement;
    if (attempt.Chance(options_.give_back_rate) && GiveBack(request)) {
      m.outcome = db::Outcome::kCancelled;
    } else if (attempt.Chance(options_.infrastructure_rate)) {
      m.outcome = db::Outcome::kInfrastructure;
      m.reason = "device lost";
    } else if (program.Chance(options_.failure_rate)) {
      m.outcome = db::Outcome::kRunError;
      m.reason = "crashed";
    } else {
      m.outcome = db::Outcome::kOk;
      m.sample_seconds = {cost_seconds_(request) * Noise(program)};
    }
    return record;
  }

  // Noise is drawn anew in each turn, and shared by nothing else.
  absl::StatusOr<tuner::ComparisonRun> Measure(const tuner::ComparisonRequest& request) const {
    Rng rng(StableHasher().Add(options_.seed).Add(request.programs[0].loop_hash).Finish());
    if (rng.Chance(options_.lost_comparisons)) return absl::UnavailableError("device lost");
    tuner::ComparisonRun run = {"simulated/cpu", "simulated", {}};
    for (const db::Record& program : request.programs) {
      tuner::TrialRequest trial;
      trial.task_index = request.task_index;
      trial.task = request.task;
      trial.config = program.config;
      const double seconds = cost_seconds_(trial);
      db::Measurement& measurement = run.measurements.emplace_back();
      measurement.outcome = db::Outcome::kOk;
      for (int turn = 0; turn < options_.turns; ++turn) {
        measurement.sample_seconds.push_back(seconds * Noise(rng));
      }
    }
    return run;
  }

 private:
  bool GiveBackComparison() {
    absl::MutexLock lock(&mutex_);
    return comparisons_given_back_++ < options_.comparison_give_backs;
  }

  double Noise(Rng& rng) const {
    // The sum of uniform numbers is normal enough.
    double normal = -3;
    for (int i = 0; i < 6; ++i) normal += rng.Uniform();
    return std::exp(options_.noise * normal * 1.4);
  }

  bool GiveBack(const tuner::TrialRequest& request) const {
    absl::MutexLock lock(&mutex_);
    return given_back_[request.trial]++ < options_.give_backs;
  }

  const SimulationOptions options_;
  const Cost cost_seconds_;
  mutable absl::Mutex mutex_;
  Rng order_ ABSL_GUARDED_BY(mutex_);
  bool online_ ABSL_GUARDED_BY(mutex_) = true;
  int asked_ ABSL_GUARDED_BY(mutex_) = 0;
  int comparisons_given_back_ ABSL_GUARDED_BY(mutex_) = 0;
  int abandoned_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<tuner::TrialRequest, std::function<void(db::Record)>>> held_
      ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<tuner::ComparisonRequest,
                       std::function<void(absl::StatusOr<tuner::ComparisonRun>)>>>
      comparisons_ ABSL_GUARDED_BY(mutex_);
  std::vector<tuner::ComparisonRequest> compared_ ABSL_GUARDED_BY(mutex_);
  std::set<int64_t> held_back_ ABSL_GUARDED_BY(mutex_);
  std::vector<tuner::TrialRequest> started_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> stored_ ABSL_GUARDED_BY(mutex_);
  mutable std::map<int64_t, int> given_back_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera::test
