#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/view.h"
#include "proto/checks.h"
#include "proto/convert.h"
#include "proto/convert_artifacts.h"
#include "proto/convert_parts.h"
#include "proto/limits.h"

namespace tessera::proto {
namespace {

v1::LeaseId LeaseToProto(const LeaseId& lease) {
  v1::LeaseId m;
  m.set_job_id(lease.job_id);
  m.set_task_index(lease.task_index);
  m.set_trial(lease.trial);
  m.set_attempt(lease.attempt);
  m.set_fence(lease.fence);
  return m;
}

LeaseId LeaseFromProto(Checks& check, const v1::LeaseId& m) {
  LeaseId lease;
  lease.job_id = check.Range("lease job_id", m.job_id(), 0, kMaxId);
  lease.task_index = check.Int("lease task_index", m.task_index(), 0, kMaxTasks - 1);
  lease.trial = check.Range("lease trial", m.trial(), kNoTrial, kMaxId);
  lease.attempt = check.Int("lease attempt", m.attempt(), 0, 1'000'000);
  lease.fence = Fence(check, m.fence());
  return lease;
}

// One of a trial, at least `compared` of a comparison.
void CheckArtifactCount(Checks& check, std::string_view field, const LeaseId& lease, int count,
                        int compared) {
  const bool is_trial = lease.trial != kNoTrial;
  if (is_trial ? count == 1 : count >= compared) return;
  check.Fail(field, absl::StrCat(count, " of a ", is_trial ? "trial" : "comparison", ", ",
                                 is_trial ? "one is" : absl::StrCat("at least ", compared, " are"),
                                 " needed"));
}

v1::RunPlan PlanToProto(const RunPlan& plan) {
  v1::RunPlan m;
  *m.mutable_lease() = LeaseToProto(plan.lease);
  m.set_device(plan.device);
  for (const Artifact& artifact : plan.artifacts) *m.add_artifacts() = ArtifactToProto(artifact);
  *m.mutable_reference() = ArtifactToProto(plan.reference);
  OracleToProto(plan.tolerances, plan.samples, m.mutable_tolerances(), m.mutable_samples());
  m.set_seed(plan.seed);
  m.set_threads(plan.threads);
  m.set_cache_mode(ToProto(plan.cache_mode));
  m.set_repeats(plan.repeats);
  m.set_contender_repeats(plan.contender_repeats);
  m.set_screen_seconds(plan.screen_seconds);
  m.set_min_repeat_seconds(plan.min_repeat_seconds);
  m.set_max_seconds(plan.max_seconds);
  m.set_max_memory_bytes(plan.max_memory_bytes);
  m.set_best_seconds(plan.best_seconds);
  m.set_workload_hash(plan.workload_hash);
  return m;
}

absl::StatusOr<RunPlan> PlanFromProto(const v1::RunPlan& m) {
  Checks check;
  RunPlan plan;
  plan.lease = LeaseFromProto(check, m.lease());
  plan.device = check.RequiredName("plan device", m.device(), kMaxNameBytes);
  plan.artifacts = Each(check, "plan artifacts", m.artifacts(), kMaxCompared,
                        [&](const auto& artifact) { return ArtifactFromProto(check, artifact); });
  CheckArtifactCount(check, "plan artifacts", plan.lease, m.artifacts_size(), 2);
  plan.reference = ArtifactFromProto(check, m.reference());
  OracleFromProto(check, m, plan);
  plan.seed = m.seed();
  plan.threads = check.Int("plan threads", m.threads(), 1, kMaxThreads);
  plan.cache_mode = static_cast<db::CacheMode>(
      check.Int("plan cache_mode", m.cache_mode(), v1::CACHE_MODE_WARM, v1::CACHE_MODE_COLD));
  plan.repeats = check.Int("plan repeats", m.repeats(), 1, kMaxSamples);
  plan.contender_repeats =
      check.Int("plan contender_repeats", m.contender_repeats(), 1, kMaxSamples);
  plan.screen_seconds = check.Number("plan screen_seconds", m.screen_seconds(), 0, 3600);
  plan.min_repeat_seconds =
      check.Number("plan min_repeat_seconds", m.min_repeat_seconds(), 0, 3600);
  plan.max_seconds = check.Number("plan max_seconds", m.max_seconds(), 0.001, 86400);
  plan.max_memory_bytes =
      check.Range("plan max_memory_bytes", m.max_memory_bytes(), 1 << 20, int64_t{1} << 50);
  plan.workload_hash = check.Hex("plan workload_hash", m.workload_hash(), 16, false);
  plan.best_seconds = check.Number("plan best_seconds", m.best_seconds(), 0, kMaxSeconds);
  return Finish(check, std::move(plan));
}

RunResult RunResultFromProto(Checks& check, const v1::RunResult& m) {
  RunResult result;
  result.lease = LeaseFromProto(check, m.lease());
  result.device = check.RequiredName("run result device", m.device(), kMaxNameBytes);
  result.measurements =
      NestedEach(check, "run result measurements", m.measurements(), kMaxCompared);
  CheckArtifactCount(check, "run result measurements", result.lease, m.measurements_size(), 1);
  return result;
}

v1::LibraryResult LibraryResultToProto(const LibraryResult& result) {
  v1::LibraryResult m;
  m.set_fence(result.fence);
  m.set_error(CleanText(result.error, kMaxTextBytes));
  for (const db::LibraryFile& file : result.files) LibraryFileToProto(file, m.add_files());
  return m;
}

absl::StatusOr<LibraryResult> LibraryResultFromProto(const v1::LibraryResult& m) {
  Checks check;
  LibraryResult result;
  result.fence = Fence(check, m.fence());
  result.error = check.Text("library error", m.error(), kMaxTextBytes);
  if (result.error.empty() && m.files().empty()) {
    check.Fail("library files", "none, though there is no error");
  }
  result.files = Each(check, "library files", m.files(), kMaxFiles,
                      [&](const auto& file) { return LibraryFileFromProto(check, file); });
  return Finish(check, std::move(result));
}

v1::ModelPlan ModelPlanToProto(const ModelPlan& plan) {
  v1::ModelPlan m;
  m.set_fence(plan.fence);
  m.set_device(plan.device);
  m.set_name(plan.name);
  m.set_bucket(plan.bucket);
  for (const db::LibraryFile& file : plan.libraries) LibraryFileToProto(file, m.add_libraries());
  for (const BufferSpec& buffer : plan.buffers) BufferToProto(buffer, m.add_buffers());
  m.set_steps(plan.steps);
  OracleToProto(plan.tolerances, plan.samples, m.mutable_tolerances(), m.mutable_samples());
  m.set_seed(plan.seed);
  m.set_threads(plan.threads);
  m.set_turns(plan.turns);
  m.set_min_turn_seconds(plan.min_turn_seconds);
  m.set_max_seconds(plan.max_seconds);
  m.set_max_memory_bytes(plan.max_memory_bytes);
  return m;
}

absl::StatusOr<ModelPlan> ModelPlanFromProto(const v1::ModelPlan& m) {
  Checks check;
  ModelPlan plan;
  plan.fence = Fence(check, m.fence());
  plan.device = check.RequiredName("model device", m.device(), kMaxNameBytes);
  check.Add(CheckIdentifier("model name", m.name()));
  plan.name = m.name();
  plan.bucket = check.RequiredName("model bucket", m.bucket(), kMaxNameBytes);
  if (m.libraries_size() < 2) check.Fail("model libraries", "at least two are needed");
  plan.libraries = Each(check, "model libraries", m.libraries(), kMaxCompared,
                        [&](const auto& file) { return LibraryFileFromProto(check, file); });
  plan.buffers = BuffersFromProto(check, "model buffers", m.buffers());
  plan.steps = check.Int("model steps", m.steps(), 1, kMaxSteps);
  OracleFromProto(check, m, plan);
  plan.seed = m.seed();
  plan.threads = check.Int("model threads", m.threads(), 1, kMaxThreads);
  plan.turns = check.Int("model turns", m.turns(), 1, 1000);
  plan.min_turn_seconds = check.Number("model min_turn_seconds", m.min_turn_seconds(), 0, 3600);
  plan.max_seconds = check.Number("model max_seconds", m.max_seconds(), 0.001, 86400);
  plan.max_memory_bytes =
      check.Range("model max_memory_bytes", m.max_memory_bytes(), 1 << 20, int64_t{1} << 50);
  return Finish(check, std::move(plan));
}

v1::ModelResult ModelResultToProto(const ModelResult& result) {
  v1::ModelResult m;
  m.set_fence(result.fence);
  m.set_device(result.device);
  for (const ModelTiming& timing : result.timings) {
    v1::ModelTiming* t = m.add_timings();
    *t->mutable_measurement() = ToProto(timing.measurement);
    t->mutable_step_seconds()->Add(timing.step_seconds.begin(), timing.step_seconds.end());
  }
  return m;
}

absl::StatusOr<ModelResult> ModelResultFromProto(const v1::ModelResult& m) {
  Checks check;
  ModelResult result;
  result.fence = Fence(check, m.fence());
  result.device = check.RequiredName("model device", m.device(), kMaxNameBytes);
  result.timings = Each(check, "model timings", m.timings(), kMaxCompared, [&](const auto& t) {
    ModelTiming timing{Nested(check, t.measurement()), {}};
    timing.step_seconds =
        Each(check, "model step_seconds", t.step_seconds(), kMaxSteps, [&](double seconds) {
          return check.Number("model step_seconds", seconds, 0, kMaxSeconds);
        });
    return timing;
  });
  return Finish(check, std::move(result));
}

template <typename Repeated>
std::vector<uint64_t> HeldFromProto(Checks& check, const Repeated& held) {
  if (!check.Count("held", held.size(), kMaxHeld)) return {};
  return {held.begin(), held.end()};
}

v1::Hello HelloToProto(const Hello& hello) {
  v1::Hello m;
  m.set_protocol_version(hello.protocol_version);
  m.set_worker(CleanText(hello.worker, kMaxNameBytes));
  m.set_instance(hello.instance);
  m.set_tessera_version(hello.tessera_version);
  for (const db::Device& device : hello.devices) *m.add_devices() = ToProto(device);
  m.set_build_slots(hello.build_slots);
  m.mutable_held()->Add(hello.held.begin(), hello.held.end());
  return m;
}

absl::StatusOr<Hello> HelloFromProto(const v1::Hello& m) {
  if (m.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("protocol_version: ", m.protocol_version(), ", this side speaks ",
                     kProtocolVersion, "; install the same release on server and worker"));
  }
  Checks check;
  Hello hello;
  hello.worker = m.worker();
  check.Add(CheckWorkerName("worker name", m.worker()));
  hello.instance = check.RequiredName("worker instance", m.instance(), kMaxNameBytes);
  hello.tessera_version = check.Name("worker version", m.tessera_version(), kMaxNameBytes);
  if (m.devices().empty()) check.Fail("worker devices", "at least one device is needed");
  if (check.Count("worker devices", m.devices_size(), kMaxDevices)) {
    for (const v1::Device& message : m.devices()) {
      db::Device device = Nested(check, message);
      for (const db::Device& other : hello.devices) {
        if (other.id == device.id) check.Fail("device id", device.id + " occurs twice");
      }
      device.worker = hello.worker;
      hello.devices.push_back(std::move(device));
    }
  }
  hello.build_slots = check.Int("worker build_slots", m.build_slots(), 0, kMaxThreads);
  hello.held = HeldFromProto(check, m.held());
  return Finish(check, std::move(hello));
}

absl::StatusOr<Welcome> WelcomeFromProto(const v1::Welcome& m) {
  Checks check;
  Welcome welcome;
  welcome.server_version = check.Name("server_version", m.server_version(), kMaxNameBytes);
  welcome.heartbeat_seconds = check.Number("heartbeat_seconds", m.heartbeat_seconds(), 0.01, 3600);
  welcome.lease_seconds = check.Number("lease_seconds", m.lease_seconds(), 0.01, 86400);
  return Finish(check, std::move(welcome));
}

template <typename T>
T FenceOnly(Checks& check, uint64_t fence) {
  return T{Fence(check, fence)};
}

template <typename T, typename Variant>
absl::StatusOr<Variant> Widen(absl::StatusOr<T> value) {
  if (!value.ok()) return value.status();
  return Variant(*std::move(value));
}

// Picks the lambda for the alternative that a variant holds.
template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

std::string LeaseId::AttemptKey() const {
  return absl::StrCat(job_id, "/", trial, "/", attempt, "/", fence);
}

absl::Status CheckIdentifier(std::string_view field, std::string_view value) {
  const auto is_word = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  if (value.empty() || value.size() > kMaxIdentifierBytes ||
      absl::ascii_isdigit(static_cast<unsigned char>(value[0])) ||
      !std::all_of(value.begin(), value.end(), is_word)) {
    return absl::InvalidArgumentError(
        absl::StrCat(AbslView(field), ": \"",
                     CleanText(value.substr(0, kMaxIdentifierBytes), kMaxIdentifierBytes),
                     "\" is not an identifier of letters, digits and '_' with at most ",
                     kMaxIdentifierBytes, " characters"));
  }
  return absl::OkStatus();
}

absl::Status CheckDigest(std::string_view field, std::string_view value) {
  Checks check;
  check.Hex(field, std::string(value), 64, false);
  return check.status();
}

v1::BuildRequest ToProto(const BuildRequest& request) {
  v1::BuildRequest m;
  m.set_fence(request.fence);
  m.set_workload(request.workload);
  m.set_target(request.target);
  m.set_trace(request.trace);
  m.set_loop_hash(request.loop_hash);
  m.set_threads(request.threads);
  m.set_is_reference(request.is_reference);
  m.set_seed(request.seed);
  m.set_sample_count(request.sample_count);
  m.set_max_seconds(request.max_seconds);
  return m;
}

absl::StatusOr<BuildRequest> FromProto(const v1::BuildRequest& m) {
  Checks check;
  BuildRequest request;
  request.fence = Fence(check, m.fence());
  request.workload = check.Text("build workload", m.workload(), kMaxWorkloadBytes);
  request.target = check.RequiredName("build target", m.target(), kMaxNameBytes);
  request.trace = check.Text("build trace", m.trace(), kMaxTraceBytes);
  request.loop_hash = check.Hex("build loop_hash", m.loop_hash(), 16, true);
  request.threads = check.Int("build threads", m.threads(), 1, kMaxThreads);
  request.is_reference = m.is_reference();
  request.seed = m.seed();
  request.sample_count = check.Int("build sample_count", m.sample_count(), 0, 1 << 16);
  request.max_seconds = check.Number("build max_seconds", m.max_seconds(), 0.001, 86400);
  return Finish(check, std::move(request));
}

v1::BuildResult ToProto(const BuildResult& result) {
  v1::BuildResult m;
  m.set_fence(result.fence);
  m.set_outcome(ToProto(result.outcome));
  m.set_reason(CleanText(result.reason, kMaxTextBytes));
  if (result.outcome == db::Outcome::kOk) *m.mutable_artifact() = ArtifactToProto(result.artifact);
  m.set_loop_hash(result.loop_hash);
  m.set_build_seconds(result.build_seconds);
  OracleToProto(result.tolerances, result.samples, m.mutable_tolerances(), m.mutable_samples());
  return m;
}

absl::StatusOr<BuildResult> FromProto(const v1::BuildResult& m) {
  Checks check;
  BuildResult result;
  result.fence = Fence(check, m.fence());
  result.outcome = Nested(check, m.outcome());
  if (result.outcome != db::Outcome::kOk && result.outcome != db::Outcome::kBuildError &&
      result.outcome != db::Outcome::kInfrastructure) {
    check.Fail("build outcome", "must be ok, build_error or infrastructure");
  }
  result.reason = check.Text("build reason", m.reason(), kMaxTextBytes);
  if (result.outcome == db::Outcome::kOk) result.artifact = ArtifactFromProto(check, m.artifact());
  result.loop_hash = check.Hex("build loop_hash", m.loop_hash(), 16, true);
  result.build_seconds = check.Number("build_seconds", m.build_seconds(), 0, kMaxSeconds);
  OracleFromProto(check, m, result);
  return Finish(check, std::move(result));
}

v1::LibraryRequest ToProto(const LibraryRequest& request) {
  v1::LibraryRequest m;
  m.set_fence(request.fence);
  m.set_name(request.name);
  *m.mutable_selection() = ToProto(request.selection);
  m.set_static_library(request.static_library);
  return m;
}

absl::StatusOr<LibraryRequest> FromProto(const v1::LibraryRequest& m) {
  Checks check;
  LibraryRequest request;
  request.fence = Fence(check, m.fence());
  check.Add(CheckIdentifier("library name", m.name()));
  request.name = m.name();
  request.selection = Nested(check, m.selection());
  request.static_library = m.static_library();
  return Finish(check, std::move(request));
}

v1::WorkerMessage ToProto(const WorkerMessage& message) {
  v1::WorkerMessage m;
  std::visit(Overloaded{
                 [&](const Hello& hello) { *m.mutable_hello() = HelloToProto(hello); },
                 [&](const Heartbeat& heartbeat) {
                   m.mutable_heartbeat()->mutable_held()->Add(heartbeat.held.begin(),
                                                              heartbeat.held.end());
                 },
                 [&](const BuildResult& result) { *m.mutable_build_result() = ToProto(result); },
                 [&](const RunResult& result) {
                   *m.mutable_run_result()->mutable_lease() = LeaseToProto(result.lease);
                   m.mutable_run_result()->set_device(result.device);
                   for (const db::Measurement& measurement : result.measurements) {
                     *m.mutable_run_result()->add_measurements() = ToProto(measurement);
                   }
                 },
                 [&](const LibraryResult& result) {
                   *m.mutable_library_result() = LibraryResultToProto(result);
                 },
                 [&](const ModelResult& result) {
                   *m.mutable_model_result() = ModelResultToProto(result);
                 },
             },
             message);
  return m;
}

absl::StatusOr<WorkerMessage> FromProto(const v1::WorkerMessage& m) {
  Checks check;
  switch (m.kind_case()) {
    case v1::WorkerMessage::kHello:
      return Widen<Hello, WorkerMessage>(HelloFromProto(m.hello()));
    case v1::WorkerMessage::kHeartbeat: {
      Heartbeat heartbeat{HeldFromProto(check, m.heartbeat().held())};
      return Finish<WorkerMessage>(check, std::move(heartbeat));
    }
    case v1::WorkerMessage::kBuildResult:
      return Widen<BuildResult, WorkerMessage>(FromProto(m.build_result()));
    case v1::WorkerMessage::kRunResult: {
      RunResult result = RunResultFromProto(check, m.run_result());
      return Finish<WorkerMessage>(check, std::move(result));
    }
    case v1::WorkerMessage::kLibraryResult:
      return Widen<LibraryResult, WorkerMessage>(LibraryResultFromProto(m.library_result()));
    case v1::WorkerMessage::kModelResult:
      return Widen<ModelResult, WorkerMessage>(ModelResultFromProto(m.model_result()));
    case v1::WorkerMessage::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("worker message: of no known kind");
}

v1::ServerMessage ToProto(const ServerMessage& message) {
  v1::ServerMessage m;
  std::visit(
      Overloaded{
          [&](const Welcome& welcome) {
            m.mutable_welcome()->set_server_version(welcome.server_version);
            m.mutable_welcome()->set_heartbeat_seconds(welcome.heartbeat_seconds);
            m.mutable_welcome()->set_lease_seconds(welcome.lease_seconds);
          },
          [&](const BuildRequest& request) { *m.mutable_build_request() = ToProto(request); },
          [&](const RunPlan& plan) { *m.mutable_run_plan() = PlanToProto(plan); },
          [&](const LibraryRequest& request) { *m.mutable_library_request() = ToProto(request); },
          [&](const ModelPlan& plan) { *m.mutable_model_plan() = ModelPlanToProto(plan); },
          [&](const Cancel& cancel) { m.mutable_cancel()->set_fence(cancel.fence); },
          [&](const Acknowledge& acknowledge) {
            m.mutable_acknowledge()->set_fence(acknowledge.fence);
          },
          [&](const Drain& drain) {
            m.mutable_drain()->set_device(drain.device);
            m.mutable_drain()->set_draining(drain.draining);
          },
      },
      message);
  return m;
}

absl::StatusOr<ServerMessage> FromProto(const v1::ServerMessage& m) {
  Checks check;
  switch (m.kind_case()) {
    case v1::ServerMessage::kWelcome:
      return Widen<Welcome, ServerMessage>(WelcomeFromProto(m.welcome()));
    case v1::ServerMessage::kBuildRequest:
      return Widen<BuildRequest, ServerMessage>(FromProto(m.build_request()));
    case v1::ServerMessage::kRunPlan:
      return Widen<RunPlan, ServerMessage>(PlanFromProto(m.run_plan()));
    case v1::ServerMessage::kLibraryRequest:
      return Widen<LibraryRequest, ServerMessage>(FromProto(m.library_request()));
    case v1::ServerMessage::kModelPlan:
      return Widen<ModelPlan, ServerMessage>(ModelPlanFromProto(m.model_plan()));
    case v1::ServerMessage::kCancel:
      return Finish<ServerMessage>(check, FenceOnly<Cancel>(check, m.cancel().fence()));
    case v1::ServerMessage::kAcknowledge:
      return Finish<ServerMessage>(check, FenceOnly<Acknowledge>(check, m.acknowledge().fence()));
    case v1::ServerMessage::kDrain: {
      Drain drain{check.RequiredName("drain device", m.drain().device(), kMaxNameBytes),
                  m.drain().draining()};
      return Finish<ServerMessage>(check, std::move(drain));
    }
    case v1::ServerMessage::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("server message: of no known kind");
}

}  // namespace tessera::proto
