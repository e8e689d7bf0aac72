#include "worker/builder/compile.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/gpu/opencl.h"
#include "compiler/codegen/link.h"
#include "compiler/codegen/ptx.h"
#include "compiler/codegen/vta/generate.h"
#include "compiler/passes/build_loops.h"
#include "compiler/passes/lower.h"
#include "compiler/schedule/default_trace.h"
#include "compiler/schedule/loop_structure.h"
#include "compiler/schedule/schedule.h"
#include "compiler/te/reference.h"
#include "compiler/vta/kernels.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/device_code.h"
#include "proto/limits.h"

namespace tessera::builder {
namespace {

using Clock = std::chrono::steady_clock;

// A step's error with who is to blame for it.
struct Refusal {
  db::Outcome outcome;
  std::string reason;
  bool is_last = false;  // of this process
};
using MaybeRefusal = std::optional<Refusal>;

Refusal Blame(db::Outcome outcome, const absl::Status& status) {
  return {outcome, std::string(status.message())};
}
Refusal Blame(db::Outcome outcome, std::string_view step, const absl::Status& status) {
  return Blame(outcome, Annotate(status, step));
}

// The part of a build that can't be the candidate's fault.
struct Task {
  te::Workload workload;
  ir::Target target;
};

absl::StatusOr<Task> ReadTask(const proto::BuildRequest& request) {
  Task task;
  absl::StatusOr<te::Workload> workload = te::ParseWorkload(request.workload);
  if (!workload.ok()) return Annotate(workload.status(), "workload");
  task.workload = *std::move(workload);
  absl::StatusOr<ir::Target> target = ir::ParseTarget(request.target);
  if (!target.ok()) return Annotate(target.status(), "target");
  task.target = *std::move(target);
  task.target.max_threads = request.threads;
  return task;
}

struct Scheduled {
  schedule::Schedule schedule;
  schedule::LoopStructure loops;
};

absl::StatusOr<Scheduled> ApplySchedule(const Task& task, const std::string& text) {
  schedule::Trace trace;
  if (text.empty()) {
    TESSERA_ASSIGN_OR_RETURN(trace, schedule::DefaultTrace(task.workload.dag, task.target));
  } else {
    TESSERA_ASSIGN_OR_RETURN(trace, schedule::ParseTrace(text));
  }
  TESSERA_ASSIGN_OR_RETURN(schedule::Schedule schedule,
                           schedule::ApplyTrace(task.workload.dag, trace));
  TESSERA_ASSIGN_OR_RETURN(schedule::LoopStructure loops, schedule::InferBounds(schedule));
  return Scheduled{std::move(schedule), std::move(loops)};
}

std::vector<proto::BufferSpec> DescribeBuffers(const te::Dag& dag,
                                               const std::vector<ir::Buffer>& params) {
  std::vector<proto::BufferSpec> specs;
  for (size_t i = 0; i < dag.inputs.size() + dag.outputs.size(); ++i) {
    const ir::BufferNode& buffer = *params[i];
    proto::BufferSpec& spec = specs.emplace_back();
    spec.name = buffer.name;
    spec.type = ir::ToString(buffer.type);
    spec.shape = buffer.shape;
    for (const ir::LayoutDim& dim : buffer.layout) {
      spec.layout.push_back({dim.axis, dim.divisor, dim.extent});
    }
    spec.is_output = i >= dag.inputs.size();
    spec.is_constant = !spec.is_output && dag.inputs[i].is_constant;
  }
  return specs;
}

// What a machine's own processor runs, into `output`.
MaybeRefusal MakeSharedObject(absl::Span<const ir::Program> programs, const ir::Target& target,
                              agent::BuildOutput& output) {
  const absl::StatusOr<codegen::ObjectCode> code = codegen::GenerateObject(programs, target);
  if (!code.ok()) return Blame(db::Outcome::kBuildError, code.status());

  codegen::LinkOptions options;
  options.kind = target.kind;
  options.providers = code->providers;
  for (const codegen::Kernel& kernel : code->kernels) options.exported.push_back(kernel.symbol);
  absl::StatusOr<std::string> bytes = codegen::LinkSharedObject({code->bytes}, options);
  if (!bytes.ok()) {
    const bool no_room =
        absl::IsUnavailable(bytes.status()) || absl::IsResourceExhausted(bytes.status());
    Refusal refusal =
        Blame(no_room ? db::Outcome::kInfrastructure : db::Outcome::kBuildError, bytes.status());
    refusal.is_last = true;
    return refusal;
  }
  proto::Artifact& artifact = output.result.artifact;
  artifact.symbol = code->kernels[0].symbol;
  if (code->kernels.size() > 1) artifact.prepare_symbol = code->kernels[1].symbol;
  for (const codegen::Kernel& kernel : code->kernels) {
    artifact.shared_workspace_bytes =
        std::max(artifact.shared_workspace_bytes, kernel.shared_workspace_bytes);
    artifact.private_workspace_bytes =
        std::max(artifact.private_workspace_bytes, kernel.private_workspace_bytes);
  }
  output.bytes = *std::move(bytes);
  return std::nullopt;
}

std::vector<proto::KernelLaunch> ToLaunches(const std::vector<codegen::gpu::Launch>& launches) {
  static_assert(codegen::gpu::kWorkspaceArgument == proto::kWorkspaceArgument);
  static_assert(static_cast<int>(codegen::gpu::ArgumentKind::kImageF16) ==
                static_cast<int>(proto::ArgumentKind::kImageF16));
  std::vector<proto::KernelLaunch> made;
  for (const codegen::gpu::Launch& launch : launches) {
    proto::KernelLaunch& one = made.emplace_back(proto::KernelLaunch{
        launch.kernel, launch.blocks, launch.block_threads, launch.shared_bytes, {}});
    for (const codegen::gpu::Argument& argument : launch.arguments) {
      one.arguments.push_back({argument.buffer, static_cast<proto::ArgumentKind>(argument.kind)});
    }
  }
  return made;
}

// What a GPU's driver compiles, into `output`.
MaybeRefusal MakeDeviceCode(absl::Span<const ir::Program> programs, const ir::Target& target,
                            agent::BuildOutput& output) {
  const bool is_cuda = target.kind == ir::TargetKind::kCuda;
  absl::StatusOr<codegen::gpu::DeviceCode> code =
      is_cuda ? codegen::GeneratePtx(programs, target)
              : codegen::gpu::GenerateOpenCl(programs, target);
  if (!code.ok()) return Blame(db::Outcome::kBuildError, code.status());
  proto::DeviceCode made{is_cuda ? "cuda" : "opencl",
                         code->workspace_bytes,
                         {},
                         ToLaunches(code->launches[0]),
                         std::move(code->source)};
  proto::Artifact& artifact = output.result.artifact;
  artifact.symbol = kKernelSymbol;
  if (programs.size() > 1) {
    made.preparation = ToLaunches(code->launches[1]);
    artifact.prepare_symbol = kPrepareSymbol;
  }
  output.bytes = proto::Print(made);
  return std::nullopt;
}

// What an accelerator's runtime expands, into `output`.
MaybeRefusal MakeAcceleratorCode(const Scheduled& scheduled, const ir::Target& target,
                                 agent::BuildOutput& output) {
  const auto kernels = codegen::vta::Generate(scheduled.schedule, scheduled.loops, target);
  if (!kernels.ok()) return Blame(db::Outcome::kBuildError, kernels.status());
  proto::DeviceCode made{"vta", 0, {}, {}, {}};
  std::vector<std::pair<std::string, vta::Code>> programs;
  for (const codegen::vta::Kernel& kernel : *kernels) {
    const std::string name = absl::StrCat(kKernelSymbol, "_", programs.size());
    proto::KernelLaunch& launch = made.launches.emplace_back();
    launch.kernel = name;
    for (const int argument : kernel.arguments) launch.arguments.push_back({argument});
    programs.emplace_back(name, kernel.code);
  }
  made.source = vta::PrintKernels(programs);
  output.result.artifact.symbol = kKernelSymbol;
  output.bytes = proto::Print(made);
  return std::nullopt;
}

// Lowered, compiled and linked, into `output`. Then `params` are what it is passed.
MaybeRefusal MakeLoweredCode(const Task& task, const Scheduled& scheduled,
                             std::vector<ir::Buffer>& params, agent::BuildOutput& output) {
  absl::StatusOr<ir::Program> lowered =
      passes::Lower(scheduled.schedule, scheduled.loops, kKernelSymbol);
  if (!lowered.ok()) return Blame(db::Outcome::kBuildError, "lowering", lowered.status());
  params = lowered->params;
  std::vector<ir::Program> programs = {*std::move(lowered)};
  auto preparation = passes::LowerPreparation(scheduled.schedule, scheduled.loops, kPrepareSymbol);
  if (!preparation.ok()) return Blame(db::Outcome::kBuildError, "lowering", preparation.status());
  if (preparation->has_value()) programs.push_back(**std::move(preparation));
  return ir::IsGpu(task.target.kind) ? MakeDeviceCode(programs, task.target, output)
                                     : MakeSharedObject(programs, task.target, output);
}

// What the target's device runs, into `output`.
MaybeRefusal MakeArtifact(const Task& task, const Scheduled& scheduled,
                          agent::BuildOutput& output) {
  std::vector<ir::Buffer> params = passes::MakeParameters(scheduled.schedule);
  static_assert(schedule::kMaxKernelBuffers == proto::kMaxBuffers);
  if (const size_t passed = params.size(); passed > proto::kMaxBuffers) {
    return Refusal{db::Outcome::kBuildError,
                   absl::StrCat("the operator has ", passed, " inputs and outputs; at most ",
                                proto::kMaxBuffers, " can be passed to a kernel, so split it")};
  }
  if (MaybeRefusal refusal = task.target.kind == ir::TargetKind::kVta
                                 ? MakeAcceleratorCode(scheduled, task.target, output)
                                 : MakeLoweredCode(task, scheduled, params, output)) {
    return refusal;
  }
  proto::Artifact& artifact = output.result.artifact;
  artifact.digest = Sha256Hex(output.bytes);
  artifact.size = static_cast<int64_t>(output.bytes.size());
  const te::Dag& dag = task.workload.dag;
  artifact.buffers = DescribeBuffers(dag, params);
  for (size_t i = artifact.buffers.size(); i < params.size(); ++i) {
    artifact.prepared_bytes.push_back(params[i]->StoredBytes());
  }
  const te::ErrorFactors& factors = scheduled.schedule.error_factors();
  for (size_t i = 0; !factors.empty() && i < dag.outputs.size(); ++i) {
    const te::Tolerance tolerance = te::OutputTolerance(dag, static_cast<int>(i), factors);
    artifact.tolerances.push_back({tolerance.absolute, tolerance.relative});
  }
  return std::nullopt;
}

// As many samples as asked for, or (large reductions) as can be afforded.
absl::StatusOr<std::vector<te::Sample>> SampleOracle(const te::Workload& workload, uint64_t seed,
                                                     int count) {
  for (;; count /= 2) {
    absl::StatusOr<std::vector<te::Sample>> samples = te::SampleReference(workload, seed, count);
    if (samples.ok() || !absl::IsResourceExhausted(samples.status()) || count <= 1) return samples;
  }
}

MaybeRefusal AddOracle(const Task& task, const proto::BuildRequest& request,
                       proto::BuildResult& result) {
  for (size_t i = 0; i < task.workload.dag.outputs.size(); ++i) {
    const te::Tolerance tolerance = te::OutputTolerance(task.workload.dag, static_cast<int>(i));
    result.tolerances.push_back({tolerance.absolute, tolerance.relative});
  }
  if (request.sample_count == 0) return std::nullopt;
  const absl::StatusOr<std::vector<te::Sample>> samples =
      SampleOracle(task.workload, request.seed, request.sample_count);
  if (!samples.ok()) return Blame(db::Outcome::kBuildError, "sampling", samples.status());
  for (const te::Sample& sample : *samples) {
    result.samples.push_back({sample.output, sample.index, sample.value});
  }
  return std::nullopt;
}

MaybeRefusal CompileInto(const proto::BuildRequest& request, agent::BuildOutput& output) {
  const absl::StatusOr<Task> task = ReadTask(request);
  if (!task.ok()) return Blame(db::Outcome::kInfrastructure, "builder", task.status());
  const absl::StatusOr<Scheduled> scheduled = ApplySchedule(*task, request.trace);
  if (!scheduled.ok()) return Blame(db::Outcome::kBuildError, "trace", scheduled.status());
  const std::string hash = HashToHex(schedule::LoopHash(scheduled->schedule, scheduled->loops));
  output.result.loop_hash = hash;
  if (!request.loop_hash.empty() && request.loop_hash != hash) {
    return Refusal{
        db::Outcome::kInfrastructure,
        absl::StrCat("loop hash: the server expects ", request.loop_hash, ", this builder makes ",
                     hash, "; install the same release on server and worker")};
  }
  if (MaybeRefusal refusal = MakeArtifact(*task, *scheduled, output)) return refusal;
  if (request.is_reference) return AddOracle(*task, request, output.result);
  return std::nullopt;
}

}  // namespace

Compiled<agent::BuildOutput> Compile(const proto::BuildRequest& request) {
  const Clock::time_point start = Clock::now();
  Compiled<agent::BuildOutput> compiled;
  proto::BuildResult& result = compiled.output.result;
  MaybeRefusal refusal;
  try {
    refusal = CompileInto(request, compiled.output);
  } catch (const std::exception& error) {
    refusal = Refusal{db::Outcome::kBuildError, absl::StrCat("the compiler threw: ", error.what()),
                      /*is_last=*/true};
  }
  result.fence = request.fence;
  result.outcome = db::Outcome::kOk;
  if (!refusal) {
    // What no message can carry (too large, too many parameters) is refused here.
    if (const auto carried = proto::FromProto(proto::ToProto(result)); !carried.ok()) {
      refusal = Blame(db::Outcome::kBuildError, "artifact", carried.status());
    }
  }
  if (refusal) {
    result.outcome = refusal->outcome;
    result.reason = proto::CleanText(refusal->reason, proto::kMaxTextBytes);
    result.artifact = {};
    result.tolerances.clear();
    result.samples.clear();
    compiled.output.bytes.clear();
    compiled.is_last = refusal->is_last;
  }
  result.build_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return compiled;
}

}  // namespace tessera::builder
