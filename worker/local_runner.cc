#include "worker/local_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "compiler/runtime/kernel.h"
#include "worker/runner/model_runner.h"

namespace tessera {
namespace {

std::vector<runner::Tolerance> MakeTolerances(const std::vector<proto::Tolerance>& tolerances) {
  std::vector<runner::Tolerance> made;
  for (const proto::Tolerance& tolerance : tolerances) {
    made.push_back({tolerance.absolute, tolerance.relative});
  }
  return made;
}

std::vector<runner::OracleSample> MakeSamples(const std::vector<proto::OracleSample>& samples) {
  std::vector<runner::OracleSample> made;
  for (const proto::OracleSample& sample : samples) {
    made.push_back({sample.output, sample.index, sample.value});
  }
  return made;
}

absl::StatusOr<std::vector<runner::BufferSpec>> MakeBuffers(
    const std::vector<proto::BufferSpec>& buffers) {
  std::vector<runner::BufferSpec> made;
  for (const proto::BufferSpec& buffer : buffers) {
    TESSERA_ASSIGN_OR_RETURN(const runner::ElementType type, runner::ParseElementType(buffer.type));
    made.push_back({.name = buffer.name,
                    .type = type,
                    .shape = buffer.shape,
                    .is_output = buffer.is_output,
                    .is_constant = buffer.is_constant});
  }
  return made;
}

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
  kernel.tolerances = MakeTolerances(artifact.tolerances);
  for (const proto::BufferSpec& buffer : artifact.buffers) {
    std::vector<runner::LayoutDim>& layout = kernel.layouts.emplace_back();
    for (const proto::LayoutDim& dim : buffer.layout) {
      layout.push_back({dim.axis, dim.divisor, dim.extent});
    }
  }
  return kernel;
}

// Candidate and reference are programs of one workload: all but the layouts must agree.
absl::Status CheckSameBuffers(const proto::Artifact& artifact, const proto::Artifact& reference) {
  const auto& ours = artifact.buffers;
  const auto& theirs = reference.buffers;
  const bool same =
      std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                 [](const proto::BufferSpec& a, const proto::BufferSpec& b) {
                   return a.type == b.type && a.shape == b.shape && a.is_output == b.is_output;
                 });
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError("candidate and reference have different buffers");
}

absl::StatusOr<runner::MeasurePlan> MakePlan(const proto::RunPlan& plan,
                                             const std::vector<std::string>& artifacts,
                                             const std::string& reference,
                                             const std::vector<int>& cores) {
  runner::MeasurePlan measure;
  for (size_t i = 0; i < plan.artifacts.size(); ++i) {
    TESSERA_RETURN_IF_ERROR(CheckSameBuffers(plan.artifacts[i], plan.reference));
    measure.candidates.push_back(MakeArtifact(plan.artifacts[i], artifacts[i]));
  }
  measure.workload_hash = plan.workload_hash;
  measure.seed = plan.seed;
  measure.interleaving_seed = plan.lease.fence;
  TESSERA_ASSIGN_OR_RETURN(measure.buffers, MakeBuffers(plan.reference.buffers));
  measure.expectation.reference = MakeArtifact(plan.reference, reference);
  measure.expectation.samples = MakeSamples(plan.samples);
  measure.tolerances = MakeTolerances(plan.tolerances);
  measure.threads = plan.threads;
  measure.cores = cores;
  measure.timing.repeats = plan.repeats;
  measure.timing.contender_repeats = plan.contender_repeats;
  measure.timing.screen_seconds = plan.screen_seconds;
  measure.timing.min_repeat_seconds = plan.min_repeat_seconds;
  measure.timing.max_seconds = plan.max_seconds / 2;
  measure.timing.cache_mode = plan.cache_mode;
  measure.timing.best_seconds = plan.best_seconds;
  measure.call_timeout = std::min(measure.call_timeout, absl::Seconds(plan.max_seconds));
  measure.memory_bytes = plan.max_memory_bytes;
  return measure;
}

// Of all artifacts of a plan.
std::vector<db::Measurement> NotMeasured(const proto::RunPlan& plan, const absl::Status& status) {
  db::Measurement measurement;
  measurement.outcome = db::Outcome::kInfrastructure;
  measurement.reason = std::string(status.message());
  return std::vector<db::Measurement>(plan.artifacts.size(), measurement);
}

absl::StatusOr<runner::ModelPlan> MakePlan(const proto::ModelPlan& plan,
                                           const std::vector<std::string>& libraries,
                                           const std::vector<int>& cores) {
  runner::ModelPlan made;
  made.name = plan.name;
  made.bucket = plan.bucket;
  made.libraries = libraries;
  TESSERA_ASSIGN_OR_RETURN(made.buffers, MakeBuffers(plan.buffers));
  made.steps = plan.steps;
  made.samples = MakeSamples(plan.samples);
  made.tolerances = MakeTolerances(plan.tolerances);
  made.seed = plan.seed;
  made.threads = plan.threads;
  made.cores = cores;
  made.turns = plan.turns;
  made.min_turn_seconds = plan.min_turn_seconds;
  made.max_seconds = plan.max_seconds;
  made.memory_bytes = plan.max_memory_bytes;
  return made;
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

std::vector<db::Measurement> LocalRunner::Run(const proto::RunPlan& plan,
                                              const std::vector<std::string>& artifacts,
                                              const std::string& reference,
                                              const std::vector<int>& cores) {
  auto measure = MakePlan(plan, artifacts, reference, cores);
  if (!measure.ok()) return NotMeasured(plan, measure.status());
  measure->cancelled = &cancelled_;
  Begin(plan.lease.fence);
  auto measurements = runner_.Measure(*measure);
  Begin(0);
  if (!measurements.ok()) return NotMeasured(plan, measurements.status());
  if (measurements->size() != plan.artifacts.size()) {
    return NotMeasured(plan, absl::InternalError(absl::StrCat(
                                 "the runner returned ", measurements->size(), " measurements for ",
                                 plan.artifacts.size(), " programs")));
  }
  return *std::move(measurements);
}

std::vector<proto::ModelTiming> LocalRunner::RunModels(const proto::ModelPlan& plan,
                                                       const std::vector<std::string>& libraries,
                                                       const std::vector<int>& cores) {
  const auto run = [&]() -> absl::StatusOr<std::vector<runner::ModelTiming>> {
    if (models_ == nullptr) {
      return absl::UnimplementedError(
          absl::StrCat("devices of kind ", AbslView(runner_.kind()), " run no models"));
    }
    TESSERA_ASSIGN_OR_RETURN(runner::ModelPlan made, MakePlan(plan, libraries, cores));
    made.cancelled = &cancelled_;
    Begin(plan.fence);
    auto timings = runner::MeasureModels(*models_, made);
    Begin(0);
    return timings;
  }();
  std::vector<proto::ModelTiming> timings(plan.libraries.size());
  for (size_t i = 0; i < timings.size(); ++i) {
    if (run.ok()) {
      timings[i] = {(*run)[i].measurement, (*run)[i].step_seconds};
      continue;
    }
    timings[i].measurement.outcome = db::Outcome::kInfrastructure;
    timings[i].measurement.reason = std::string(run.status().message());
  }
  return timings;
}

}  // namespace tessera
