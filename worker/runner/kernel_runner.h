#pragma once

#include <memory>
#include <string>
#include <utility>

#include "worker/runner/device.h"
#include "worker/runner/kernel_session.h"
#include "worker/runner/program_cache.h"
#include "worker/runner/runner.h"
#include "worker/runner/test_set_cache.h"
#include "worker/sandbox/sandbox.h"

namespace tessera::runner {

// Measures kernels, each in a child of its own, of which one lives at a time. A candidate is called
// twice with different placements and poisons and verified after each, then timed, then verified
// again; of several candidates each in every turn. docs/measurement.md.
class KernelRunner final : public Runner {
 public:
  struct Options {
    std::string kind = "cpu";
    // kDevice: where the clock leaves up to half of the time to the ways to the device and back, it
    // is believed. kSimulator: it is believed, and one call is timed, once.
    TimeSource time_source = TimeSource::kHost;
    size_t test_set_cache_bytes = size_t{512} << 20;
    // Of kinds of devices that have a compiler; null: every child compiles. Outlives the runner.
    ProgramCache* programs = nullptr;
  };
  // `spawner`, whose children obey kernel_host.h, outlives the runner.
  KernelRunner(sandbox::Spawner& spawner, Options options)
      : spawner_(spawner),
        options_(std::move(options)),
        test_sets_(options_.test_set_cache_bytes) {}
  explicit KernelRunner(sandbox::Spawner& spawner) : KernelRunner(spawner, Options()) {}

  std::string_view kind() const override { return options_.kind; }
  absl::StatusOr<std::vector<db::Measurement>> Measure(const MeasurePlan& plan) override;

 private:
  absl::StatusOr<std::shared_ptr<const TestSet>> MakeTestSet(const MeasurePlan& plan);
  absl::Status ComputeExpected(const MeasurePlan& plan, TestSet& set);

  sandbox::Spawner& spawner_;
  const Options options_;
  TestSetCache test_sets_;
};

// Whether a child's claim about time may be believed. Its interval lies within the parent's, which
// is longer by two messages, and by more when the machine was busy.
enum class Claim : uint8_t { kPlausible, kDoubtful, kFalse };
Claim JudgeClaim(double claimed_seconds, double wall_seconds);

}  // namespace tessera::runner
