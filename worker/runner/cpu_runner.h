#pragma once

#include <memory>

#include "worker/runner/kernel_session.h"
#include "worker/runner/runner.h"
#include "worker/runner/test_set_cache.h"
#include "worker/sandbox/sandbox.h"

namespace tessera::runner {

// Measures native kernels, each in a sandboxed child of its own, of which one lives at a time. A
// candidate is called twice with different placements and poisons and verified after each, then
// timed, then verified again; of several candidates each in every turn.
// docs/measurement.md.
class CpuRunner final : public Runner {
 public:
  struct Options {
    size_t test_set_cache_bytes = size_t{512} << 20;
  };
  // `sandbox` outlives the runner.
  CpuRunner(sandbox::Sandbox& sandbox, const Options& options)
      : sandbox_(sandbox), test_sets_(options.test_set_cache_bytes) {}
  explicit CpuRunner(sandbox::Sandbox& sandbox) : CpuRunner(sandbox, Options()) {}

  std::string_view kind() const override { return "cpu"; }
  absl::StatusOr<std::vector<db::Measurement>> Measure(const MeasurePlan& plan) override;

 private:
  absl::StatusOr<std::shared_ptr<const TestSet>> MakeTestSet(const MeasurePlan& plan);
  absl::Status ComputeExpected(const MeasurePlan& plan, TestSet& set);

  sandbox::Sandbox& sandbox_;
  TestSetCache test_sets_;
};

// Whether a child's claim about time may be believed. Its interval lies within the parent's, which
// is longer by two messages, and by more when the machine was busy.
enum class Claim : uint8_t { kPlausible, kDoubtful, kFalse };
Claim JudgeClaim(double claimed_seconds, double wall_seconds);

}  // namespace tessera::runner
