#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::tuner {

// A program of the task that was measured by another job.
struct KnownProgram {
  uint64_t loop_hash = 0;
  std::string config;       // of the task's space
  double cost_seconds = 0;  // as its device measured it; infinity for a candidate that failed
  std::string device;
  bool operator==(const KnownProgram&) const = default;
};

struct TaskPrior {
  // Fast programs of near tasks as configs of this one's space, the most promising first.
  std::vector<std::string> first_configs;
  std::vector<KnownProgram> known;  // the oldest first
  bool operator==(const TaskPrior&) const = default;
};

// What a job knows before its first trial. It is fixed when the job is created, so that it is the
// same after a restart, whatever the log has learned since.
struct Prior {
  std::string cost_model, model;  // kind and digest of a model of other tasks; empty: none
  std::vector<TaskPrior> tasks;   // one a task of the job
  bool operator==(const Prior&) const = default;
  bool IsEmpty() const;
};

// As lines of text, and back. DataLoss for anything that Print can't have returned,
// FailedPrecondition for a newer format.
std::string Print(const Prior& prior);
absl::StatusOr<Prior> ParsePrior(std::string_view text);

}  // namespace tessera::tuner
