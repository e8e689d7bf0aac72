#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::db {

// What the time of a device went to, as seen from one job.
enum class RunnerPhase : uint8_t {
  kRun = 0,       // verified and timed programs of the job
  kWorker = 1,    // had its plans and ran none: artifacts travel, cores are not free yet
  kBuild = 2,     // waited for a program to be built
  kProposal = 3,  // waited for the job to propose one
  kStore = 4,     // waited for the job, which waited for its results to be on disk
  kOthers = 5     // had plans of other jobs only
};
inline constexpr int kRunnerPhaseCount = 6;
std::string_view ToString(RunnerPhase phase);  // "run", "worker", …

// A device's time for a job, from the job's first plan there to its latest: neither the first
// builds nor what comes after the last trial are waiting.
struct RunnerTime {
  std::string device;
  std::array<double, kRunnerPhaseCount> seconds{};  // by RunnerPhase

  double Of(RunnerPhase phase) const { return seconds[static_cast<size_t>(phase)]; }
  double& Of(RunnerPhase phase) { return seconds[static_cast<size_t>(phase)]; }
  double Total() const;
  bool operator==(const RunnerTime&) const = default;
};

}  // namespace tessera::db
