#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "compiler/graph/plan.h"
#include "compiler/library/library.h"

// Libraries of models, built in this process.

namespace tessera::bench {

struct ModelOptions {
  cli::OperatorSource source;
  int threads = 1;
  std::string records;  // of `tessera log --format jsonl`; empty: default schedules
};

// For this machine's CPU: each kernel of the plan by the fastest of the records of its task, by its
// default schedule where there is none. Without `spec.model`.
absl::StatusOr<library::LibrarySpec> SpecOf(const graph::Plan& plan, const ModelOptions& options);

// A kernel of a model as it runs within it.
struct StepTime {
  int step = 0;
  std::vector<double> seconds;  // by round
};
// Runs the plan's kernels one by one as often as `rounds`, after once to warm up, on inputs of
// random bytes that are small numbers. The results are those of a library without a model.
absl::StatusOr<std::vector<StepTime>> TimeSteps(const graph::Plan& plan,
                                                const library::LibrarySpec& spec, int threads,
                                                int rounds);

}  // namespace tessera::bench
