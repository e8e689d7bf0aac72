#pragma once

#include <string>

#include "base/status.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/loop_structure.h"
#include "tests/support/reference_check.h"

namespace tessera::passes {

// All that `schedule` becomes.
inline absl::StatusOr<te::Candidate> LowerSchedule(const schedule::Schedule& schedule) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::LoopStructure loops, schedule::InferBounds(schedule));
  te::Candidate candidate;
  TESSERA_ASSIGN_OR_RETURN(candidate.program, Lower(schedule, loops, "kernel"));
  TESSERA_ASSIGN_OR_RETURN(candidate.preparation, LowerPreparation(schedule, loops, "prepare"));
  candidate.error_factors = schedule.error_factors();
  return candidate;
}

inline absl::StatusOr<te::Candidate> LowerTrace(const te::Workload& workload,
                                                const schedule::Trace& trace) {
  TESSERA_ASSIGN_OR_RETURN(const schedule::Schedule schedule,
                           schedule::ApplyTrace(workload.dag, trace));
  return LowerSchedule(schedule);
}

}  // namespace tessera::passes
