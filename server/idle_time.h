#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "db/record/runner_time.h"

namespace tessera::server {

// What the time of devices went to, by job: told of every change, it books the time that has passed
// on what was so before. A wait counts once the job's next plan has come to the device; a device's
// absence ends it uncounted. Kept in memory, of ended jobs for the latest ones: a server that
// starts counts anew. Thread-compatible; moves no time by itself.
class IdleTime {
 public:
  static constexpr size_t kMaxEndedJobs = 256;

  // What is so from now on.
  struct Situation {
    // The jobs whose plans a device has, of all devices that have some or take some.
    std::map<std::string, std::set<int64_t>, std::less<>> plans;
    std::set<int64_t> building;  // jobs with trials that wait to be built
    std::set<int64_t> storing;   // jobs with results that are not on disk yet
  };
  void Observe(const Situation& situation, absl::Time now);
  // A device has ended a plan of the job, which it ran for so long by its own clock. What it says
  // counts up to the time that has passed. Call it before what the plan's end changes is observed.
  void Ran(int64_t job, std::string_view device, double seconds, absl::Time now);
  // Its times stay as they are.
  void End(int64_t job);

  // By device. Empty: none had a plan of the job, or it was forgotten.
  std::vector<db::RunnerTime> Of(int64_t job) const;

 private:
  struct DeviceTime {
    std::optional<db::RunnerPhase> phase;  // none: absent. kWorker: it has plans, run or not
    absl::Time since;
    db::RunnerTime waits;       // since the latest plan
    db::RunnerTime counted;     // waits before it
    double with_plans = 0;      // seconds, up to the latest end of a plan
    double ran = 0;             // of these, the job's own plans
    double ran_for_others = 0;  // of these, other jobs' plans beside them

    void Book(absl::Time now);
    void Enter(std::optional<db::RunnerPhase> next, absl::Time now);
  };
  struct Job {
    std::map<std::string, DeviceTime, std::less<>> devices;
    bool ended = false;
  };

  std::map<int64_t, Job> jobs_;
  std::deque<int64_t> ended_;  // the first to end first
};

}  // namespace tessera::server
