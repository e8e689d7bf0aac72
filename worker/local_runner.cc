#include "worker/local_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "compiler/runtime/kernel.h"

namespace tessera {
namespace {

// A first repeat this much slower than the task's best can't be its noise.
constexpr double kHopelessFactor = 1.5;

runner::KernelArtifact MakeArtifact(const proto::Artifact& artifact, const std::string& bytes) {
  runner::KernelArtifact kernel{.name = artifact.digest,
                                .bytes = bytes,
                                .symbol = artifact.symbol,
                                .abi = TESSERA_KERNEL_ABI,
                                .layouts = {},
                                .shared_workspace_bytes = artifact.shared_workspace_bytes,
                                .private_workspace_bytes = artifact.private_workspace_bytes,
                                .prepare_symbol = artifact.prepare_symbol,
                                .prepared_bytes = artifact.prepared_bytes,
                                .tolerances = {}};
  for (const proto::Tolerance& tolerance : artifact.tolerances) {
    kernel.tolerances.push_back({tolerance.absolute, tolerance.relative});
  }
  for (const proto::BufferSpec& buffer : artifact.buffers) {
    std::vector<runner::LayoutDim>& layout = kernel.layouts.emplace_back();
    for (const proto::LayoutDim& dim : buffer.layout) {
      layout.push_back({dim.axis, dim.divisor, dim.extent});
    }
  }
  return kernel;
}

// Candidate and reference are programs of one workload: all but the layouts must agree.
absl::Status CheckSameBuffers(const proto::RunPlan& plan) {
  const auto& ours = plan.artifact.buffers;
  const auto& theirs = plan.reference.buffers;
  const bool same =
      std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                 [](const proto::BufferSpec& a, const proto::BufferSpec& b) {
                   return a.type == b.type && a.shape == b.shape && a.is_output == b.is_output;
                 });
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError("candidate and reference have different buffers");
}

absl::StatusOr<runner::MeasurePlan> MakePlan(const proto::RunPlan& plan,
                                             const std::string& artifact,
                                             const std::string& reference,
                                             const std::vector<int>& cores) {
  TESSERA_RETURN_IF_ERROR(CheckSameBuffers(plan));
  runner::MeasurePlan measure;
  measure.workload_hash = plan.workload_hash;
  measure.seed = plan.seed;
  measure.interleaving_seed = plan.lease.fence;
  for (const proto::BufferSpec& buffer : plan.artifact.buffers) {
    TESSERA_ASSIGN_OR_RETURN(const runner::ElementType type, runner::ParseElementType(buffer.type));
    measure.buffers.push_back({.name = buffer.name,
                               .type = type,
                               .shape = buffer.shape,
                               .is_output = buffer.is_output,
                               .is_constant = buffer.is_constant});
  }
  measure.candidates = {MakeArtifact(plan.artifact, artifact)};
  measure.expectation.reference = MakeArtifact(plan.reference, reference);
  for (const proto::OracleSample& sample : plan.samples) {
    measure.expectation.samples.push_back({sample.output, sample.index, sample.value});
  }
  for (const proto::Tolerance& tolerance : plan.tolerances) {
    measure.tolerances.push_back({tolerance.absolute, tolerance.relative});
  }
  measure.threads = plan.threads;
  measure.cores = cores;
  measure.timing.repeats = plan.repeats;
  measure.timing.min_repeat_seconds = plan.min_repeat_seconds;
  measure.timing.max_seconds = plan.max_seconds / 2;
  measure.timing.cache_mode = plan.cache_mode;
  measure.timing.drop_if_slower_than_seconds = kHopelessFactor * plan.best_seconds;
  measure.call_timeout = std::min(measure.call_timeout, absl::Seconds(plan.max_seconds));
  measure.memory_bytes = plan.max_memory_bytes;
  return measure;
}

db::Measurement NotMeasured(const absl::Status& status) {
  db::Measurement measurement;
  measurement.outcome = db::Outcome::kInfrastructure;
  measurement.reason = std::string(status.message());
  return measurement;
}

}  // namespace

void LocalRunner::Begin(uint64_t fence) {
  absl::MutexLock lock(&mutex_);
  fence_ = fence;
  cancelled_ = false;
}

void LocalRunner::Cancel(uint64_t fence) {
  absl::MutexLock lock(&mutex_);
  if (fence_ == fence) cancelled_ = true;
}

db::Measurement LocalRunner::Run(const proto::RunPlan& plan, const std::string& artifact,
                                 const std::string& reference, const std::vector<int>& cores) {
  auto measure = MakePlan(plan, artifact, reference, cores);
  if (!measure.ok()) return NotMeasured(measure.status());
  measure->cancelled = &cancelled_;
  Begin(plan.lease.fence);
  auto measurements = runner_.Measure(*measure);
  Begin(0);
  if (!measurements.ok()) return NotMeasured(measurements.status());
  if (measurements->size() != 1) {
    return NotMeasured(absl::InternalError(absl::StrCat(
        "the runner returned ", measurements->size(), " measurements for one program")));
  }
  return std::move(measurements->front());
}

}  // namespace tessera
